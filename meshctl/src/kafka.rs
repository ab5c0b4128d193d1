//! The mesh's own Kafka: one real broker that is its own controller (`KRaft`).

mod jars;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::process::Command;

use crate::launch::{Launch, in_path};
use crate::mesh::Mesh;
use crate::progress::Step;
use crate::tool::Tool;
use crate::topics;

/// Warnings and errors of the broker, and what it says about starting and stopping.
const LOGGING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <Console name="stdout" target="SYSTEM_OUT"><PatternLayout pattern="[%d] %p %m (%c{1})%n%throwable"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="kafka.server.BrokerServer" level="INFO"/>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="stdout"/></Root>
  </Loggers>
</Configuration>
"#;

/// `HOST:PORT` for clients.
pub(crate) fn brokers(mesh: &Mesh) -> String {
    format!("127.0.0.1:{}", mesh.ports.kafka)
}

fn dir(mesh: &Mesh) -> PathBuf {
    mesh.home.server("kafka")
}

fn cache(mesh: &Mesh) -> PathBuf {
    mesh.home.kafka_cache(&mesh.settings.kafka.cache_dir)
}

/// Gets the jars if they are not there, writes the configuration, and formats the data folder once.
pub(crate) async fn prepare(mesh: &Mesh, step: &Step) -> Result<()> {
    jars::resolve(&cache(mesh), &mesh.home.log("kafka-setup"), step).await?;
    let dir = mesh.home.create_server("kafka")?;
    fs::write(dir.join("server.properties"), properties(mesh, &dir))?;
    fs::write(dir.join("log4j2.xml"), LOGGING)?;
    for file in ["server.properties", "log4j2.xml"] {
        mesh.home.give(&dir.join(file))?;
    }
    format(mesh, &dir, step).await
}

/// Formats the data folder. The mark is made last: an interrupted attempt starts over.
async fn format(mesh: &Mesh, dir: &Path, step: &Step) -> Result<()> {
    let (mark, data) = (dir.join("formatted"), dir.join("data"));
    if mark.exists() {
        return Ok(());
    }
    step.doing("formatting the broker's storage");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let cluster = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
    let launch = java(mesh, &["kafka.tools.StorageTool", "format", &format!("--cluster-id={cluster}"), "--config"])?;
    let mut args = launch.args;
    args.push(dir.join("server.properties").display().to_string());
    let tool = Tool {
        name: "formatting Kafka's storage",
        program: &launch.program,
        args,
        env: launch.env,
        user: mesh.home.user(),
        dir,
        input: "",
    };
    tool.run(&mesh.home.log("kafka-setup")).await?;
    fs::write(mark, cluster)?;
    Ok(())
}

/// One node with everything replicated once, small buffers, topics only by declaration. The voters are fixed in the
/// configuration, not in the data: the ports may change from one start to the next.
fn properties(mesh: &Mesh, dir: &Path) -> String {
    let (client, controller) = (mesh.ports.kafka, mesh.ports.kafka_controller);
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         offsets.topic.num.partitions=5\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=3\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=3\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=16777216\n\
         log.segment.bytes=134217728\n",
        data = dir.join("data").display(),
    )
}

/// Java's launcher: that of `JAVA_HOME`, else the one in PATH.
pub(crate) fn java_program() -> Option<PathBuf> {
    let told = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    told.filter(|java| java.is_file()).or_else(|| in_path("java"))
}

fn installed_java() -> Result<PathBuf> {
    let program = java_program().context("no java in PATH: install the package openjdk-17-jre-headless (or a newer one)")?;
    Ok(program.canonicalize()?)
}

/// One of Kafka's own tools, as its scripts (`kafka-run-class.sh`) start it.
pub(crate) fn tool(mesh: &Mesh, class: &str) -> Result<Command> {
    let mut command = Command::new(installed_java()?);
    command.args(["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]);
    command.args(["-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", class]);
    command.env("CLASSPATH", jars::class_path(&cache(mesh))?);
    Ok(command)
}

/// Java with the broker's jars, running `arguments`.
fn java(mesh: &Mesh, arguments: &[&str]) -> Result<Launch> {
    let program = installed_java()?;
    let dir = dir(mesh);
    let archive = archive(mesh, &program);
    let mut args: Vec<String> = ["-Xshare:auto", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xlog:disable"]
        .iter()
        .chain(&["-Xlog:all=error:stderr", "-Djava.awt.headless=true"])
        .map(|arg| (*arg).to_owned())
        .collect();
    if archive.is_file() {
        args.push(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    args.push(format!("-Xmx{}m", mesh.settings.kafka.heap_mb));
    args.push(format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.xml").display()));
    args.extend(arguments.iter().map(|arg| (*arg).to_owned()));
    Ok(Launch {
        name: "kafka",
        program,
        args,
        env: BTreeMap::from([("CLASSPATH".to_owned(), jars::class_path(&cache(mesh))?)]),
        user: mesh.home.user(),
        dir,
    })
}

/// The archive of loaded classes (`AppCDS`) for this Java and these jars: with it the broker starts in two thirds of the time.
fn archive(mesh: &Mesh, java: &Path) -> PathBuf {
    jars::keyed(&cache(mesh), "classes", java, "jsa")
}

/// Where a broker without an archive leaves one when it stops.
fn new_archive(mesh: &Mesh) -> PathBuf {
    dir(mesh).join("classes.jsa")
}

/// How the broker is started. Without an archive of classes it makes one at its end; [`keep_archive`] shares it.
pub(crate) fn launch(mesh: &Mesh) -> Result<Launch> {
    let properties = dir(mesh).join("server.properties").display().to_string();
    let mut launch = java(mesh, &["kafka.Kafka", &properties])?;
    if !archive(mesh, &launch.program).is_file() {
        launch.args.insert(0, format!("-XX:ArchiveClassesAtExit={}", new_archive(mesh).display()));
    }
    Ok(launch)
}

/// Makes the topics that are missing and says which differ; returns when the broker has acknowledged a first message.
pub(crate) async fn topics(mesh: &Mesh, deadline: Duration) -> Result<()> {
    events::topics::ensure(&brokers(mesh), deadline).await.context("declaring the Kafka topics")?;
    topics::warn(mesh).await;
    Ok(())
}

/// Whether `command` is a broker that writes an archive of its classes when it stops, which takes some seconds more.
pub(crate) fn is_archiving(command: &[String]) -> bool {
    command.iter().any(|arg| arg.starts_with("-XX:ArchiveClassesAtExit"))
}

/// Moves the archive that a stopped broker left to where all meshes use it.
pub(crate) fn keep_archive(mesh: &Mesh) -> Result<()> {
    let new = new_archive(mesh);
    if !new.is_file() {
        return Ok(());
    }
    let target = archive(mesh, &java(mesh, &[])?.program);
    let beside = target.with_extension(format!("new{}", std::process::id()));
    fs::copy(&new, &beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(&beside, &target)?;
    fs::remove_file(&new)?;
    Ok(())
}
