//! `push form`: the web form of a device.

use super::{Plan, Progress, PushArgs, until_done};
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use crate::secret::PasswordArgs;
use clap::Args;
use otaseal::profile::{Profile, Updater};
use otaseal_delivery::device::{DeviceFacts, Known, Origin};
use otaseal_delivery::espota::Password;
use otaseal_delivery::evidence::Evidence;
use otaseal_delivery::form::{self, Form, Login, Request, Url};
use otaseal_delivery::mdns::{self, RESOLVE};
use otaseal_delivery::offer::Way;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet push form http://192.168.1.50/update dist
  otaseal-fleet push form http://kitchen.local/update firmware.bin --user admin --ask-password
  otaseal-fleet push form http://192.168.1.60/u2 tasmota.bin.gz")]
pub(crate) struct FormArgs {
    /// The address of the form
    #[arg(value_name = "URL")]
    url: String,
    /// The package or the file
    #[arg(value_name = "PACKAGE")]
    path: PathBuf,
    /// User name that the form asks for
    #[arg(long, value_name = "NAME", help_heading = "Password")]
    user: Option<String>,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(crate) fn run(args: &FormArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let mut url = Url::parse(&args.url).map_err(|error| {
        Failure::usage(error, "such as http://192.168.1.50/update; Tasmota's is http://HOST/u2")
    })?;
    let password = args.password.read("the form")?;
    match (&args.user, password) {
        (Some(user), Some(password)) => {
            url.login = Some(Login { user: user.clone(), password: Password::new(password.to_string()) });
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(Failure::usage(
                "--user needs a password",
                "give it with --password-file, --password-env, --password-fd or --ask-password",
            ));
        }
        (None, Some(_)) => return Err(Failure::usage("a password needs --user", "give the user name too")),
    }
    let form = Form::of(&url);
    let release = args.push.release(&args.path)?;
    let mut facts = DeviceFacts::default();
    if form == Form::Tasmota {
        let how = Origin::Inferred("the address of its form, which is Tasmota's");
        facts.profile = Some(Known::new(Profile::new(Updater::Tasmota, false), how));
    }
    args.push.describe(&mut facts);
    let wanted = args.push.until.map_or(Evidence::Taken, super::Until::evidence);
    let shown = format!("{}:{}", url.host, url.port);
    let mut progress = Progress::new(reporter, &shown);
    let offer = match args.push.choose(&release, &facts, Way::Form) {
        Ok(offer) => offer,
        Err(end) => return progress.end(&end, wanted),
    };
    let plan = Plan::new(shown, "form", &release, &offer, args.push.dry_run);
    plan.say(reporter)?;
    if args.push.dry_run {
        return Ok(Exit::Done);
    }
    let bytes = super::bytes(&offer)?;
    let work = async {
        let address = match mdns::address(&url.host, url.port, RESOLVE).await {
            Ok(address) => address,
            Err(error) => {
                return super::not_found(&error);
            }
        };
        let mut request = Request::new(url, address, bytes);
        request.form = form;
        request.content = args.push.content();
        form::push(request, &mut |event| progress.tell(&event)).await
    };
    match until_done(work)? {
        Some(end) => progress.end(&end, wanted),
        None => progress.interrupted(),
    }
}
