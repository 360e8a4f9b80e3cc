//! 智慧卯家湾: one binary with several roles. This file only reads the command line.

mod accounts;
mod backup;
mod bus;
mod check;
mod config;
mod content;
mod demo;
mod folder;
mod history;
mod logins;
mod media;
mod node;
mod ready;
mod references;
mod remote;
mod simulate;
mod sites;
mod stores;
mod up;
mod upkeep;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[global_allocator]
static MEMORY: runtime::Allocator = runtime::Allocator;

/// Help in both languages, its headings too.
const TEMPLATE: &str = "{about}\n\n用法 Usage: {usage}\n\n{all-args}";
const OPTIONS: &str = "选项 Options";

/// 智慧卯家湾综治中心 the command centre of the Maojiawan resettlement community
#[derive(Parser)]
#[command(
    name = "maojiawan",
    version,
    arg_required_else_help = true,
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "命令 Commands",
    subcommand_value_name = "命令 COMMAND",
    help_template = TEMPLATE
)]
struct Args {
    /// 显示帮助 prints help
    #[arg(short, long, global = true, action = clap::ArgAction::Help, help_heading = OPTIONS)]
    help: Option<bool>,
    /// 显示版本 prints the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version, help_heading = OPTIONS)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 启动整个中心 runs the whole centre in one process
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Up {
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 演示：合成站点与演示账号，只能监听本机 a synthetic site with demo accounts, loopback only
        #[arg(long)]
        demo: bool,
        /// 监听地址，覆盖配置 address to listen at, instead of the configured one
        #[arg(long)]
        listen: Option<std::net::SocketAddr>,
        /// 数据目录，覆盖配置 data folder, instead of the configured one
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// 只运行一部分：核心一个，网关若干 runs a part: one core and any number of gateways on PostgreSQL and Redis
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Serve {
        /// 配置文件 configuration file
        #[arg(long)]
        config: PathBuf,
        /// 部分：core 核心、gateway 网关；可重复 the part; may be given again
        #[arg(long = "role", required = true, hide_possible_values = true)]
        parts: Vec<up::Part>,
        /// 监听地址，覆盖配置 address to listen at, instead of the configured one
        #[arg(long)]
        listen: Option<std::net::SocketAddr>,
        /// 数据目录，覆盖配置 data folder, instead of the configured one
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// 检查配置文件 checks a configuration file and the files it names, and says what is wrong as a start would
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    CheckConfig {
        /// 配置文件 configuration file
        config: PathBuf,
        /// 部分：按 serve 的要求检查；可重复 the part that `serve` will run; may be given again
        #[arg(long = "role", hide_possible_values = true)]
        parts: Vec<up::Part>,
    },
    /// 升级数据格式，或迁移到 PostgreSQL brings the stored data to this version, or moves them to PostgreSQL
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Migrate {
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 迁移到此数据库 postgres://… moves the SQLite data to this database, password apart
        #[arg(long)]
        to: Option<String>,
        /// 该数据库的口令文件 file with the password of that database
        #[arg(long, requires = "to")]
        password_file: Option<PathBuf>,
        /// 从此目录的 SQLite 数据迁移到配置中的数据库 moves SQLite data of this folder to the configured database
        #[arg(long)]
        from_data: Option<PathBuf>,
    },
    /// 在线备份到一个文件，写后复核 writes everything to one file while the centre runs, and verifies it
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Backup {
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 备份文件，不得已存在 the file, which must not exist
        #[arg(long)]
        to: PathBuf,
        /// 一并写入主密钥（默认不含） writes the master key too, which is left out otherwise
        #[arg(long)]
        with_key: bool,
    },
    /// 从备份恢复到空的数据目录 brings a backup into an empty place, verified first
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Restore {
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
        /// 备份文件 the backup
        #[arg(long)]
        from: PathBuf,
        /// 另外的删除记录或较新的备份，其中已删除的不会恢复 further journals of erasures, or newer backups: what they erased stays erased
        #[arg(long)]
        erasures: Vec<PathBuf>,
    },
    /// 现场文件：检查、导入、导出 the site as files: checks, imports, exports
    #[command(help_template = TEMPLATE, subcommand_help_heading = "命令 Commands", subcommand_value_name = "命令 COMMAND")]
    Site {
        #[command(subcommand)]
        action: sites::Action,
    },
    /// 运行模拟现场：摄像头、传感器、部门、短信 runs the synthetic site as its own process
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Simulate {
        /// 配置文件 configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// 解码子进程，由中心启动 a decode child, started by the centre
    #[command(help_template = TEMPLATE, next_help_heading = OPTIONS)]
    Decode,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Up { config, demo, listen, data } => {
            up::run(up::Run { config, demo, listen, data, parts: Vec::new() })
        }
        Command::Serve { config, parts, listen, data } => {
            up::run(up::Run { config: Some(config), demo: false, listen, data, parts })
        }
        Command::CheckConfig { config, parts } => check::check(&config, &parts),
        Command::Migrate { config, to: None, from_data: None, .. } => check::migrate(config.as_deref()),
        Command::Migrate { config, to, password_file, from_data } => {
            backup::migrate(&backup::Migration { config, to, password_file, from_data })
        }
        Command::Backup { config, to, with_key } => backup::backup(config.as_deref(), &to, with_key),
        Command::Restore { config, from, erasures } => backup::restore(config.as_deref(), &from, &erasures),
        Command::Site { action } => sites::run(action),
        Command::Simulate { config } => simulate::run(&config),
        Command::Decode => video::decode::child_main().map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            if error.is::<up::Fenced>() { ExitCode::from(up::FENCED) } else { ExitCode::FAILURE }
        }
    }
}
