//! 智慧卯家湾: one binary with several roles. This file only reads the command line.

mod accounts;
mod check;
mod config;
mod content;
mod demo;
mod media;
mod ready;
mod simulate;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// 智慧卯家湾综治中心 the command centre of the Maojiawan resettlement community
#[derive(Parser)]
#[command(name = "maojiawan", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 启动整个中心 runs the whole centre in one process
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
    /// 检查配置文件 checks a configuration file and says what is wrong, with line and key
    CheckConfig {
        /// 配置文件 configuration file
        config: PathBuf,
    },
    /// 升级数据格式 brings the stored data to this version and prints where the log stands
    Migrate {
        /// 配置文件 configuration file
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// 运行模拟现场：摄像头、传感器、部门、短信 runs the synthetic site as its own process
    Simulate {
        /// 配置文件 configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// 解码子进程，由中心启动 a decode child, started by the centre
    Decode,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Up { config, demo, listen, data } => up::run(config.as_deref(), demo, listen, data),
        Command::CheckConfig { config } => check::check(&config),
        Command::Migrate { config } => check::migrate(config.as_deref()),
        Command::Simulate { config } => simulate::run(&config),
        Command::Decode => video::decode::child_main().map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
