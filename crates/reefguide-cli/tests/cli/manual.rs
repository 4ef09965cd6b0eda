use crate::desk::Desk;

const COMMANDS: [&[&str]; 13] = [
    &[],
    &["login"],
    &["logout"],
    &["submit"],
    &["jobs"],
    &["show"],
    &["watch"],
    &["cancel"],
    &["download"],
    &["doctor"],
    &["schema", "diff"],
    &["completions"],
    &["man"],
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_tells_how_it_is_used() {
    let desk = Desk::new().await;
    for command in COMMANDS {
        let name = [&["help"], command].concat().join("_");
        insta::assert_snapshot!(name, desk.said(&[command, &["--help"]].concat()));
    }
    let help = desk.said(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty()).count();
    assert_eq!(
        commands,
        COMMANDS.len() - 1,
        "a command has no snapshot:\n{help}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_ends_with_2() {
    let desk = Desk::new().await;
    insta::assert_snapshot!("no_job_id", desk.said(&["watch"]));
    insta::assert_snapshot!(
        "rate_without_batch",
        desk.said(&["submit", "TEST", "--rate", "3"])
    );
    insta::assert_snapshot!(
        "rate_of_zero",
        desk.said(&["submit", "--batch", "-", "--rate", "0"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_a_page_of_the_manual() {
    let desk = Desk::new().await;
    let said = desk.said(&["man", "--to", "man"]);
    insta::assert_snapshot!("man", format!("{said}\n{:#?}", desk.files("man")));
    let page = std::fs::read_to_string(desk.path("man/reefguide-submit.1")).unwrap();
    assert!(page.contains(".TH reefguide-submit 1"), "{page}");
    assert!(page.contains("\\fB\\-\\-batch\\fR"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_commands_and_options() {
    let desk = Desk::new().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.said(&["completions", shell]);
        assert!(script.starts_with("exit 0\n"), "{shell}: {script}");
        assert!(
            script.contains("download") && script.contains("batch"),
            "{shell}"
        );
    }
    let script = "source <(reefguide completions bash)
        COMP_WORDS=(reefguide sub) COMP_CWORD=1
        _reefguide reefguide sub reefguide
        echo \"${COMPREPLY[@]}\"";
    let reefguide = desk.process(&[]).get_program().to_owned();
    let folder = std::path::Path::new(&reefguide)
        .parent()
        .unwrap()
        .display()
        .to_string();
    let output = std::process::Command::new("bash")
        .args(["-c", script])
        .env(
            "PATH",
            format!("{folder}:{}", std::env::var("PATH").unwrap()),
        )
        .output();
    assert_eq!(
        String::from_utf8(output.unwrap().stdout).unwrap(),
        "submit\n"
    );
}
