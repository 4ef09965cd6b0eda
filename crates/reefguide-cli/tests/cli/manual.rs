use crate::fixture::CliFixture;

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
async fn every_command_has_help() {
    let cli = CliFixture::new().await;
    for command in COMMANDS {
        let name = [&["help"], command].concat().join("_");
        insta::assert_snapshot!(name, cli.run(&[command, &["--help"]].concat()));
    }
    let help = cli.run(&["--help"]);
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
    let cli = CliFixture::new().await;
    insta::assert_snapshot!("no_job_id", cli.run(&["watch"]));
    insta::assert_snapshot!(
        "rate_without_batch",
        cli.run(&["submit", "TEST", "--rate", "3"])
    );
    insta::assert_snapshot!(
        "rate_of_zero",
        cli.run(&["submit", "--batch", "-", "--rate", "0"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_a_man_page() {
    let cli = CliFixture::new().await;
    let printed = cli.run(&["man", "--to", "man"]);
    insta::assert_snapshot!("man", format!("{printed}\n{:#?}", cli.files("man")));
    let page = std::fs::read_to_string(cli.path("man/reefguide-submit.1")).unwrap();
    assert!(page.contains(".TH reefguide-submit 1"), "{page}");
    assert!(page.contains("\\fB\\-\\-batch\\fR"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_commands_and_options() {
    let cli = CliFixture::new().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.run(&["completions", shell]);
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
    let reefguide = cli.process(&[]).get_program().to_owned();
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
