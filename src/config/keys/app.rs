//! `haloy.yaml` as a whole.

use super::image::IMAGE;
use super::target::{CHECKS, CONTAINER, DEPLOYMENT, ENVIRONMENT, HOOKS, IDENTITY, PROGRAM, ROUTING};
use super::{Key, Kind, Shape, key, secrets};

/// The root of the file.
pub const APP: Shape = Shape::Object(&[IDENTITY, PROGRAM, ROUTING, CHECKS, DEPLOYMENT, ENVIRONMENT, CONTAINER, HOOKS, ROOT, EARLIER]);

/// One of `targets`: everything that says what runs.
pub const TARGET: Shape = Shape::Object(&[IDENTITY, PROGRAM, ROUTING, CHECKS, DEPLOYMENT, ENVIRONMENT, CONTAINER, HOOKS]);

/// One of `apps`, the list of an earlier generation.
pub const ENTRY: Shape = TARGET;

/// What exists once for a file.
const ROOT: &[Key] = &[
    key(
        "images",
        Shape::Names(&IMAGE),
        "Images that targets choose from with `image_key`: a name for each, and behind it what `image` takes.",
    )
    .example("images:\n  web: ghcr.io/you/web:1.4\n  worker: ghcr.io/you/worker:1.4"),
    key(
        "targets",
        Shape::Names(&TARGET),
        "Several deployments of one file: other servers, other stages, or the parts of one system. Each target takes the keys of the \
         root and gives its own values for what differs; its name is the app's name unless it has `name`. Of `image` only the parts \
         that a target names differ; everything else that a target writes replaces the root's value as a whole, `env` too.",
    )
    .example("targets:\n  production:\n    server: prod.example.com\n    replicas: 3\n  staging:\n    server: staging.example.com"),
    key(
        "secret_providers",
        secrets::PROVIDERS,
        "Where secrets come from: for each provider the sources that references like `onepassword:production-db.password` name. They are \
         fetched by the machine that deploys, with the provider's own program.",
    )
    .example("secret_providers:\n  onepassword:\n    production-db:\n      vault: Production\n      item: Database"),
    key(
        "global_pre_deploy",
        Shape::List(&Shape::Value(Kind::Text)),
        "Shell commands that run once on the machine that deploys, before the first of the targets. The first that fails ends everything.",
    )
    .example("global_pre_deploy:\n  - npm run build"),
    key(
        "global_post_deploy",
        Shape::List(&Shape::Value(Kind::Text)),
        "Shell commands that run once on the machine that deploys, after all targets are deployed.",
    )
    .example("global_post_deploy:\n  - ./announce.sh"),
];

/// What earlier generations had at the root alone.
const EARLIER: &[Key] = &[key("apps", Shape::List(&ENTRY), "Several apps in one file, each with its `name`.").superseded("`targets`")];
