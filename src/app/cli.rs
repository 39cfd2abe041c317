//! The command line: arguments in, one `Command` out; help drawn from the table of settings.
//!
//! The settings file named by `--config` is read here, once, before anything starts. `--set` wins
//! over the file, and the last `--set` of a key wins. Prints nothing: `app` does, and turns a
//! `CliError` into one line on standard error and exit code 2.

use core::fmt;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt as _};

use crate::config::document::{self, DocumentError};
use crate::config::settings::{Config, Draft, SettingError, TABLE, sections};
use crate::config::value::Seen;
use crate::limits::{
    CHECK_SECONDS_DEFAULT, CHECK_SECONDS_MAX, PULL_FILE_SECONDS_MAX, SETTINGS_TEXT_BYTES_MAX,
    TESTCARD_SECONDS_MAX,
};
use crate::proto::rtmp::options::{self, ClientOption, Way};
use crate::proto::rtmp::plan::Role;
use crate::service::upstream::{Reason, Target};
use crate::storage::widen;

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take streams in and hand them out until a signal comes.
    Serve {
        /// Settings of the file and of `--set`.
        config: Config,
        /// Whether a test card is on the air as a stream of its own.
        testcard: bool,
    },
    /// Cut an FLV file into segments with their playlist.
    Segment {
        /// The FLV file.
        input: PathBuf,
        /// The folder to write to.
        folder: PathBuf,
        /// Settings of the file and of `--set`.
        config: Config,
    },
    /// Write the test card to an FLV file.
    Testcard {
        /// The FLV file.
        output: PathBuf,
        /// Its length in seconds, from 1 to `TESTCARD_SECONDS_MAX`.
        seconds: u32,
    },
    /// Publish a file or the test card to an upstream.
    Push {
        /// The FLV file, or `testcard`.
        input: PathBuf,
        /// Where to.
        target: Target,
        /// As fast as the upstream takes it.
        fast: bool,
    },
    /// Write a stream of an upstream to an FLV file.
    Pull {
        /// Where from.
        target: Target,
        /// The FLV file.
        output: PathBuf,
        /// From 1 to `PULL_FILE_SECONDS_MAX`; none is to the stream's end.
        seconds: Option<u32>,
    },
    /// Follow a playlist and print which rules its server breaks.
    Check {
        /// The address of a master or media playlist.
        url: String,
        /// From 1 to `CHECK_SECONDS_MAX`.
        seconds: u32,
    },
    /// Print the memory that the settings ask for.
    Budget {
        /// Settings of the file and of `--set`.
        config: Config,
    },
    /// Print a help page.
    Help(Page),
    /// Print name and version.
    Version,
}

impl Command {
    /// Understands the arguments; `args` is without the program's own name.
    ///
    /// # Errors
    /// The arguments or the settings cannot be used.
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, CliError> {
        let mut parser = Parser::from_args(args.collect::<Vec<_>>());
        let page = match parser.next()? {
            None => return Err(CliError::NoCommand),
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Self::Help(Page::Program)),
            Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Self::Version),
            Some(Arg::Value(name)) => Page::of(&name)?,
            Some(option) => return Err(CliError::Usage(option.unexpected())),
        };
        let Some(given) = Given::parse(&mut parser, page)? else {
            return Ok(Self::Help(page));
        };
        given.command(page)
    }
}

/// The help pages: the program's and one for each command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `rillcast --help`.
    Program,
    /// `rillcast serve --help`.
    Serve,
    /// `rillcast segment --help`.
    Segment,
    /// `rillcast testcard --help`.
    Testcard,
    /// `rillcast push --help`.
    Push,
    /// `rillcast pull --help`.
    Pull,
    /// `rillcast check --help`.
    Check,
    /// `rillcast budget --help`.
    Budget,
}

impl Page {
    const COMMANDS: [Self; 7] = [
        Self::Serve,
        Self::Push,
        Self::Pull,
        Self::Segment,
        Self::Testcard,
        Self::Check,
        Self::Budget,
    ];

    fn of(name: &OsStr) -> Result<Self, CliError> {
        let known = Self::COMMANDS.into_iter().find(|page| page.name() == name);
        known.ok_or_else(|| CliError::UnknownCommand { seen: Seen::new(&name.to_string_lossy()) })
    }

    /// The command's name; empty for the program's page.
    const fn name(self) -> &'static str {
        match self {
            Self::Program => "",
            Self::Serve => "serve",
            Self::Segment => "segment",
            Self::Testcard => "testcard",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Check => "check",
            Self::Budget => "budget",
        }
    }

    const fn arguments(self) -> &'static str {
        match self {
            Self::Program => "COMMAND [OPTION]...",
            Self::Serve => "[--config FILE] [--set KEY=VALUE]... [--testcard]",
            Self::Segment => "IN.flv OUTDIR [--config FILE] [--set KEY=VALUE]...",
            Self::Testcard => "OUT.flv --seconds N",
            Self::Push => "IN.flv|testcard URL [--fast] [--rtmp_OPTION VALUE]...",
            Self::Pull => "URL OUT.flv [--seconds N] [--rtmp_OPTION VALUE]...",
            Self::Check => "URL [--seconds N]",
            Self::Budget => "[--config FILE] [--set KEY=VALUE]...",
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::Program => "RTMP in, HLS out: the stream box of a building.",
            Self::Serve => {
                "Takes streams in and hands them out until SIGTERM or SIGINT; SIGUSR1 ends them."
            }
            Self::Segment => "Cuts an FLV file into MPEG-TS segments with their playlist.",
            Self::Testcard => "Writes the test card to an FLV file.",
            Self::Push => "Publishes an FLV file or the test card to an RTMP server.",
            Self::Pull => "Writes a stream of an RTMP server to an FLV file.",
            Self::Check => "Follows an HLS playlist and says which rules its server breaks.",
            Self::Budget => "Prints the memory that the settings ask for, without starting.",
        }
    }

    const fn operands(self) -> usize {
        match self {
            Self::Program | Self::Serve | Self::Budget => 0,
            Self::Segment | Self::Push | Self::Pull => 2,
            Self::Testcard | Self::Check => 1,
        }
    }

    const fn has_settings(self) -> bool {
        self.way().is_none() && !matches!(self, Self::Testcard | Self::Check)
    }

    /// Which options of RTMP clients it takes.
    const fn way(self) -> Option<Role> {
        match self {
            Self::Push => Some(Role::Publish),
            Self::Pull => Some(Role::Play),
            Self::Program
            | Self::Serve
            | Self::Segment
            | Self::Testcard
            | Self::Check
            | Self::Budget => None,
        }
    }
}

/// The help page as it is printed.
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, arguments) = (self.name(), self.arguments());
        let gap = if name.is_empty() { "" } else { " " };
        writeln!(f, "{}\n\nusage: rillcast{gap}{name} {arguments}\n", self.purpose())?;
        if *self == Self::Program {
            writeln!(f, "commands (`rillcast COMMAND --help` tells more):")?;
            for page in Self::COMMANDS {
                writeln!(f, "  {:<9} {}", page.name(), page.purpose())?;
            }
            writeln!(f)?;
        }
        writeln!(f, "options:")?;
        if self.has_settings() {
            writeln!(f, "  --config FILE    read settings from this TOML file")?;
            writeln!(f, "  --set KEY=VALUE  change one setting; wins over the file")?;
        }
        match self {
            Self::Program => writeln!(f, "  -V, --version    print name and version")?,
            Self::Serve => writeln!(f, "  --testcard       put a test card on the air")?,
            Self::Testcard => {
                writeln!(f, "  --seconds N      length of the file, 1 to {TESTCARD_SECONDS_MAX}")?;
            }
            Self::Push => {
                writeln!(f, "  --fast           as fast as the server takes it")?;
            }
            Self::Pull => {
                writeln!(f, "  --seconds N      end after so much, 1 to {PULL_FILE_SECONDS_MAX}")?;
            }
            Self::Check => {
                let (usual, most) = (CHECK_SECONDS_DEFAULT, CHECK_SECONDS_MAX);
                writeln!(
                    f,
                    "  --seconds N      watch for so long, 1 to {most}; {usual} if not given"
                )?;
            }
            Self::Segment | Self::Budget => {}
        }
        writeln!(f, "  -h, --help       print this page")?;
        if let Some(role) = self.way() {
            for option in options::TABLE.iter().filter(|option| counts(option.way, role)) {
                writeln!(f, "  --{} VALUE  ({})", option.name, option.takes)?;
                writeln!(f, "      {} Default: {}.", option.help, option.default)?;
            }
        }
        if self.has_settings() {
            writeln!(f, "\nsettings:")?;
            for setting in TABLE {
                let (key, default) = (setting.key, setting.default_value());
                let (kind, applies) = (setting.kind, setting.applies);
                writeln!(f, "  {key} = {default}  ({kind}; {applies})")?;
                writeln!(f, "      {}", setting.help())?;
            }
            for [key, allowed, default, help] in sections() {
                writeln!(f, "  {key} = {default}  ({allowed}; at restart)")?;
                writeln!(f, "      {help}")?;
            }
        }
        Ok(())
    }
}

/// Whether an option counts for a role.
fn counts(way: Way, role: Role) -> bool {
    match way {
        Way::Both => true,
        Way::Play => role == Role::Play,
        Way::Publish => role == Role::Publish,
    }
}

/// Why the arguments cannot be used. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Malformed: nothing was asked.
    #[error(
        "no command: give serve, push, pull, segment, testcard, check or budget; \
         see `rillcast --help`"
    )]
    NoCommand,
    /// Malformed: no command has this name.
    #[error(
        "unknown command {seen}: there are serve, push, pull, segment, testcard, check and budget"
    )]
    UnknownCommand {
        /// The name.
        seen: Seen,
    },
    /// Malformed: an option is unknown or lacks its value.
    #[error("{0}; `rillcast --help` lists all options")]
    Usage(#[from] lexopt::Error),
    /// Malformed: too few or too many operands.
    #[error("{have} operands, {need} needed: rillcast {command} {}", arguments)]
    Operands {
        /// Operands given.
        have: usize,
        /// Operands needed.
        need: usize,
        /// The command.
        command: &'static str,
        /// What it takes.
        arguments: &'static str,
    },
    /// Malformed or out of bounds: the length of a test card.
    #[error("--seconds is {seen}: allowed is 1 to {max}; write it like 60")]
    Seconds {
        /// What was given.
        seen: Seen,
        /// The limit.
        max: u32,
    },
    /// An option of RTMP clients, or the URL.
    #[error("{0}")]
    Upstream(#[from] Reason),
    /// The settings file cannot be read.
    #[error("{}: {cause}; check the name and who may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The settings file is not right.
    #[error("{}: {cause}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: DocumentError,
    },
    /// A `--set` is not right, or the settings together are not.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl CliError {
    /// Exit code of a program that was not started as it should be.
    pub const EXIT_CODE: u8 = 2;
}

/// What the arguments of one command said, before it is known whether that is enough.
struct Given {
    file: Option<PathBuf>,
    sets: Vec<String>,
    testcard: bool,
    seconds: Option<OsString>,
    fast: bool,
    options: Vec<(String, String)>,
    operands: Vec<OsString>,
}

impl Given {
    /// None when the command's help is asked for.
    fn parse(parser: &mut Parser, page: Page) -> Result<Option<Self>, CliError> {
        let mut given = Self {
            file: None,
            sets: Vec::new(),
            testcard: false,
            seconds: None,
            fast: false,
            options: Vec::new(),
            operands: Vec::new(),
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("config") if page.has_settings() => {
                    given.file = Some(parser.value()?.into());
                }
                Arg::Long("set") if page.has_settings() => {
                    given.sets.push(parser.value()?.string()?);
                }
                Arg::Long("testcard") if page == Page::Serve => given.testcard = true,
                Arg::Long("seconds")
                    if matches!(page, Page::Testcard | Page::Pull | Page::Check) =>
                {
                    given.seconds = Some(parser.value()?);
                }
                Arg::Long("fast") if page == Page::Push => given.fast = true,
                Arg::Long(name) if page.way().is_some() && ClientOption::find(name).is_some() => {
                    let name = name.to_owned();
                    let value = option_value(parser, &name)?;
                    given.options.push((name, value));
                }
                Arg::Value(operand) => given.operands.push(operand),
                Arg::Short(_) | Arg::Long(_) => return Err(CliError::Usage(arg.unexpected())),
            }
        }
        let (have, need) = (given.operands.len(), page.operands());
        if have != need {
            return Err(CliError::Operands {
                have,
                need,
                command: page.name(),
                arguments: page.arguments(),
            });
        }
        Ok(Some(given))
    }

    fn command(self, page: Page) -> Result<Command, CliError> {
        let config = self.config()?;
        let seconds = self.seconds;
        let mut operands = self.operands.into_iter().map(PathBuf::from);
        let mut operand = || operands.next().unwrap_or_default();
        Ok(match page {
            Page::Program => Command::Help(page),
            Page::Serve => Command::Serve { config, testcard: self.testcard },
            Page::Segment => Command::Segment { input: operand(), folder: operand(), config },
            Page::Testcard => {
                let seconds = seconds.ok_or_else(|| lexopt::Error::MissingValue {
                    option: Some("--seconds".to_owned()),
                })?;
                let seconds = parse_seconds(&seconds, TESTCARD_SECONDS_MAX)?;
                Command::Testcard { output: operand(), seconds }
            }
            Page::Push => {
                let input = operand();
                let target = target(operand(), self.options, Role::Publish)?;
                Command::Push { input, target, fast: self.fast }
            }
            Page::Pull => {
                let target = target(operand(), self.options, Role::Play)?;
                let seconds = seconds.map(|text| parse_seconds(&text, PULL_FILE_SECONDS_MAX));
                Command::Pull { target, output: operand(), seconds: seconds.transpose()? }
            }
            Page::Check => {
                let seconds = seconds.map(|text| parse_seconds(&text, CHECK_SECONDS_MAX));
                let seconds = seconds.transpose()?.unwrap_or(CHECK_SECONDS_DEFAULT);
                Command::Check { url: operand().into_os_string().string()?, seconds }
            }
            Page::Budget => Command::Budget { config },
        })
    }

    fn config(&self) -> Result<Config, CliError> {
        let mut draft = Draft::new();
        if let Some(path) = &self.file {
            let text = read_settings(path)?;
            document::read(&text, &mut draft)
                .map_err(|cause| CliError::Document { path: path.clone(), cause })?;
        }
        for pair in &self.sets {
            draft.set_pair(pair)?;
        }
        Ok(draft.check()?)
    }
}

/// The text of a client's option. A bare `--listen` is 1, as nobody means anything else.
fn option_value(parser: &mut Parser, name: &str) -> Result<String, lexopt::Error> {
    if !matches!(name, "listen" | "rtmp_listen") {
        return parser.value()?.string();
    }
    let given = match parser.optional_value() {
        Some(value) => Some(value),
        None => parser.raw_args()?.next_if(|next| next == "0" || next == "1"),
    };
    given.map_or_else(|| Ok("1".to_owned()), OsString::string)
}

/// The file's text, read no further than one byte past what a settings file may have.
fn read_settings(path: &Path) -> Result<String, CliError> {
    let limit = widen(SETTINGS_TEXT_BYTES_MAX) + 1;
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|cause| CliError::Unreadable { path: path.to_owned(), cause })?;
    Ok(text)
}

fn parse_seconds(given: &OsStr, max: u32) -> Result<u32, CliError> {
    let text = given.to_string_lossy();
    text.parse()
        .ok()
        .filter(|seconds| (1..=max).contains(seconds))
        .ok_or_else(|| CliError::Seconds { seen: Seen::new(&text), max })
}

/// Whom to connect to, checked.
fn target(url: PathBuf, options: Vec<(String, String)>, role: Role) -> Result<Target, CliError> {
    let url = url.into_os_string().string()?;
    let target = Target { url, options, role };
    target.check()?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn parse(line: &str) -> Result<Command, String> {
        let args = line.split_whitespace().map(OsString::from);
        Command::parse(args).map_err(|error| error.to_string())
    }

    fn defaults() -> Config {
        Draft::new().check().unwrap()
    }

    #[test]
    fn commands_take_their_arguments() {
        assert_eq!(
            parse("serve --testcard"),
            Ok(Command::Serve { config: defaults(), testcard: true })
        );
        assert_eq!(
            parse("segment in.flv out"),
            Ok(Command::Segment {
                input: "in.flv".into(),
                folder: "out".into(),
                config: defaults()
            })
        );
        assert_eq!(
            parse("testcard --seconds=60 card.flv"),
            Ok(Command::Testcard { output: "card.flv".into(), seconds: 60 })
        );
        assert_eq!(parse("budget"), Ok(Command::Budget { config: defaults() }));
        assert_eq!(parse("--version"), Ok(Command::Version));
        assert_eq!(parse("-h"), Ok(Command::Help(Page::Program)));
        assert_eq!(parse("serve --help"), Ok(Command::Help(Page::Serve)));
    }

    #[test]
    fn set_wins_over_file_and_the_last_set_wins() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "[limits]\nstreams = 2\nviewers = 9\n").unwrap();
        let path = file.path().display();
        let line = format!("budget --set limits.streams=3 --config {path} --set limits.streams=5");
        let Ok(Command::Budget { config }) = parse(&line) else {
            panic!("not a budget");
        };
        assert_eq!(config.limits_streams, 5);
        assert_eq!(config.limits_viewers, 9);
    }

    #[test]
    fn set_can_mend_what_the_file_alone_would_contradict() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "hls.target_duration_s = 10").unwrap();
        let path = file.path().display();
        assert!(parse(&format!("serve --config {path}")).is_err());
        let line = format!("serve --config {path} --set hls.window_segments=15");
        assert!(parse(&line).is_ok());
    }

    #[test]
    fn testcard_is_made_for_a_day_and_no_longer() {
        let seconds = |seconds: u32| parse(&format!("testcard a.flv --seconds {seconds}"));
        assert!(seconds(TESTCARD_SECONDS_MAX).is_ok());
        assert!(seconds(TESTCARD_SECONDS_MAX + 1).is_err());
    }

    #[test]
    fn check_watches_a_minute_unless_told_and_a_week_at_most() {
        let url = "http://box/hls/live/cam/index.m3u8".to_owned();
        let seconds = |seconds| Ok(Command::Check { url: url.clone(), seconds });
        assert_eq!(parse(&format!("check {url}")), seconds(CHECK_SECONDS_DEFAULT));
        let line = |seconds: u32| parse(&format!("check {url} --seconds {seconds}"));
        assert_eq!(line(CHECK_SECONDS_MAX), seconds(CHECK_SECONDS_MAX));
        assert!(line(CHECK_SECONDS_MAX + 1).is_err());
        assert!(line(0).is_err());
    }

    #[test]
    fn usage_errors_are_one_line_and_say_what_to_do() {
        for (line, part) in [
            ("", "no command: give serve"),
            ("sevre", "unknown command \"sevre\""),
            ("--bogus", "invalid option '--bogus'"),
            ("serve --bogus", "invalid option '--bogus'"),
            ("serve --seconds 5", "invalid option '--seconds'"),
            ("serve extra", "1 operands, 0 needed: rillcast serve"),
            ("serve --config", "missing argument for option '--config'"),
            ("serve --set", "missing argument for option '--set'"),
            ("serve --testcard=yes", "unexpected argument for option"),
            ("serve --set hls.dir", "has no value"),
            ("serve --set hls.foo=1", "unknown setting \"hls.foo\""),
            ("serve --set hls.target_duration_s=9", "hls.window_segments is 6"),
            ("segment in.flv", "1 operands, 2 needed: rillcast segment IN.flv OUTDIR"),
            ("testcard a.flv", "missing argument for option '--seconds'"),
            ("testcard a.flv --seconds 0", "--seconds is \"0\": allowed is 1 to 86400"),
            ("testcard a.flv --set log.level=info", "invalid option '--set'"),
            ("serve --config /nowhere/x", "/nowhere/x: No such file"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn file_errors_name_file_line_and_column() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "[hls]\nsegment = 1\n").unwrap();
        let path = file.path().display().to_string();
        let error = parse(&format!("serve --config {path}")).unwrap_err();
        assert!(error.starts_with(&format!("{path}: line 2, column 1: ")), "{error}");
    }

    #[test]
    fn help_shows_every_setting_and_fits_a_terminal() {
        let pages =
            [Page::Program, Page::Serve, Page::Segment, Page::Testcard, Page::Check, Page::Budget];
        for page in pages {
            let text = page.to_string();
            assert!(text.contains("usage: rillcast"), "{text}");
            for setting in TABLE {
                assert_eq!(text.contains(setting.key), page.has_settings());
            }
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }
}
