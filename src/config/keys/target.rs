//! The keys of one app on one server.

use super::image::{FROM, IMAGE, SOURCE};
use super::{Key, Kind, Shape, boolean, choice, key, list, literal, seconds, text};
use crate::names::MAX_REPLICAS;

pub const HOUR: u32 = 60 * 60;
pub const DAY: u32 = 24 * HOUR;
pub const REPLICAS: (u32, u32) = (1, MAX_REPLICAS as u32);
pub const PORT: (u32, u32) = (1, 65_535);
pub const MIN_READY: (u32, u32) = (0, HOUR);
pub const DEPLOY_TIMEOUT: (u32, u32) = (1, DAY);
pub const DRAIN_TIMEOUT: (u32, u32) = (0, DAY);
pub const STOP_TIMEOUT: (u32, u32) = (0, HOUR);
pub const PROBE_TIME: (u32, u32) = (1, HOUR);
pub const PROBE_RETRIES: (u32, u32) = (1, 100);
/// Ten years.
pub const HSTS_MAX_AGE: (u32, u32) = (0, 3650 * DAY);
pub const PIDS: (u32, u32) = (1, 4_194_304);

/// Which app, where.
pub const IDENTITY: &[Key] = &[
    text("name", "The app's name: 1 to 63 of `a-z`, `0-9`, `-`, `_` and `.`. A target is called like its key unless it has a name.")
        .required()
        .example("name: shop"),
    text("server", "The server's host, as it was given to `haloy server add`.")
        .default("the only server that was added")
        .example("server: haloy.example.com"),
    key(
        "api_token",
        Shape::Either(&[VALUE_SOURCE_OBJECT, Shape::Variable { capitals: true }]),
        "The token for the server's API: the name of an environment variable, or an object with `value` or `from`.",
    )
    .private()
    .default("the token given to `haloy server add`")
    .example("api_token:\n  from:\n    env: PRODUCTION_TOKEN"),
    key("api_token_env", Shape::Variable { capitals: true }, "The environment variable that holds the token.")
        .private()
        .superseded("`api_token: {from: {env: NAME}}`"),
    choice(
        "preset",
        &["database", "service"],
        "Defaults for something that keeps data: strategy `replace`, naming `static`, no image history, images pulled only when they are \
         missing; a `database` is protected, too. A preset gives way to what is written beside it and wins over the root of the file.",
    )
    .example("preset: database"),
    boolean("protected", "Whether commands with `--all` leave the app out, and removing it needs `--include-protected`.")
        .default("false; true with preset `database`")
        .example("protected: true"),
];

const VALUE_SOURCE_OBJECT: Shape = Shape::Object(&[&[
    key("value", Shape::Value(Kind::Literal), "The token itself; better kept out of the file.").example("value: …"),
    key("from", FROM, "Where the token comes from.").example("from:\n  env: PRODUCTION_TOKEN"),
]]);

/// What runs.
pub const PROGRAM: &[Key] = &[
    key(
        "image",
        IMAGE,
        "The image to run: a reference like `ghcr.io/you/shop:1.4`, or an object with its parts. Without it the Dockerfile beside this \
         file is built. A string names an image that exists and is never built.",
    )
    .default("built from the Dockerfile beside this file")
    .example("image: ghcr.io/you/shop:1.4"),
    text("image_key", "One of `images`, in place of `image`.").example("image_key: web"),
    key("source", SOURCE, "Where the image comes from.").superseded("`image`"),
    key("replicas", Shape::Value(Kind::Whole(REPLICAS.0, REPLICAS.1)), "How many containers run.").default("1").example("replicas: 2"),
    words("command", "The program's arguments, in place of the image's CMD: a list of words, or one line that is cut into words like a shell does it; no shell runs.")
        .default("the image's")
        .example("command: [\"bin/jobs\", \"--queue\", \"mail\"]"),
    words("entrypoint", "The program, in place of the image's ENTRYPOINT, written like `command`.")
        .default("the image's")
        .example("entrypoint: [\"/bin/app\"]"),
    words(
        "release_command",
        "Runs to its end in a container of its own of the new image, behind the image's ENTRYPOINT like `command`, once for each new version and before it takes over: database \
         migrations and the like. It has the app's environment, volumes and network, and `deploy_timeout` to finish. When it fails, the \
         deployment fails and the old version serves on. Rollbacks and restarts do not run it.",
    )
    .example("release_command: bin/rails db:migrate"),
];

/// A list of words, or one line.
const fn words(name: &'static str, about: &'static str) -> Key {
    key(name, WORDS, about)
}

pub const WORDS: Shape = Shape::Either(&[Shape::List(&Shape::Value(Kind::Literal)), Shape::Value(Kind::Text)]);

/// How visitors reach it.
pub const ROUTING: &[Key] = &[
    key(
        "domains",
        Shape::List(&DOMAIN),
        "The names under which visitors reach the app; none for a worker. Each is a name, or an object with `domain` and `aliases`.",
    )
    .example("domains:\n  - domain: shop.example.com\n    aliases:\n      - www.shop.example.com"),
    text("acme_email", "Whom the certificate authority writes to about the app's certificates.").example("acme_email: you@example.com"),
    choice(
        "tls",
        &["auto", "off"],
        "Who terminates TLS: haloy, with certificates of its own, or another terminator in front of the server; then plain HTTP is served.",
    )
    .default("auto")
    .example("tls: off"),
    key(
        "hsts",
        Shape::Either(&[Shape::Object(&[HSTS]), Shape::Value(Kind::Boolean)]),
        "Whether browsers are told to come over HTTPS only (HTTP Strict Transport Security): `true` for a year, or an object that says \
         for how long and for which names. Browsers keep to it even when it is taken out here; `max_age: 0` ends it. A header of the \
         app's own wins.",
    )
    .default("false")
    .example("hsts: true"),
    key("port", Shape::Value(Kind::Whole(PORT.0, PORT.1)), "The port that the app listens on inside its container.")
        .default("the only TCP port that the image EXPOSEs, else 8080")
        .example("port: 3000"),
    text("network", "The Docker network of the containers. `host` is the server's own: who listens there has one replica and strategy `replace`. `none` is for \
         workers that nobody asks over the network.")
        .former(&["network_mode"])
        .default("haloy-public")
        .example("network: backend"),
];

const HSTS: &[Key] = &[
    seconds("max_age", HSTS_MAX_AGE.0, HSTS_MAX_AGE.1, "How long a browser keeps to it after each visit.")
        .default("a year")
        .example("max_age: 31536000"),
    boolean("include_subdomains", "Whether it holds for all names below the app's domains, too, whoever serves them.")
        .default("false")
        .example("include_subdomains: true"),
    boolean(
        "preload",
        "Whether browsers may have the domain built in, as https://hstspreload.org asks for; needs `include_subdomains` and a year or more.",
    )
    .default("false")
    .example("preload: true"),
];

const DOMAIN: Shape = Shape::Either(&[
    Shape::Object(&[&[
        text("domain", "The name that is served.").required().example("domain: shop.example.com"),
        list("aliases", "Names that redirect to it.").example("aliases:\n  - www.shop.example.com"),
    ]]),
    Shape::Value(Kind::Text),
]);

/// When it counts as healthy.
pub const CHECKS: &[Key] = &[
    text("health_check_path", "The path that must answer with 2xx or 3xx, for images without a HEALTHCHECK of their own.")
        .default("/ for an app with domains")
        .example("health_check_path: /health"),
    key(
        "health_check",
        Shape::Object(&[HEALTH_CHECK]),
        "How the app's health is found out, when a path does not say enough. What is asked for here wins over the image's HEALTHCHECK.",
    )
    .example("health_check:\n  path: /health\n  interval: 10s\n  status: 200"),
];

const HEALTH_CHECK: &[Key] = &[
    text("path", "GET this path.").default("health_check_path, else /").example("path: /health"),
    key("port", Shape::Value(Kind::Whole(PORT.0, PORT.1)), "Ask this port.").default("the app's port").example("port: 9000"),
    text("host", "The host that the request names.").default("the app's first domain").example("host: shop.example.com"),
    literal("status", "The status codes that pass: one, or a range. Redirects are not followed.")
        .default("200-399")
        .example("status: 200-299"),
    words("command", "Run this program inside the container instead; exit code 0 passes. Written like the app's `command`.")
        .example("command: pg_isready -U postgres"),
    boolean("tcp", "Only connect to the port instead.").default("false").example("tcp: true"),
    boolean("none", "Do not check at all: a container that runs is healthy.").default("false").example("none: true"),
    seconds("interval", PROBE_TIME.0, PROBE_TIME.1, "The time between two checks of a healthy container.")
        .default("5s")
        .example("interval: 10s"),
    seconds("timeout", PROBE_TIME.0, PROBE_TIME.1, "How long an answer may take.").default("5s").example("timeout: 3s"),
    key(
        "retries",
        Shape::Value(Kind::Whole(PROBE_RETRIES.0, PROBE_RETRIES.1)),
        "How many checks in a row must fail until a healthy container counts as unhealthy.",
    )
    .default("3")
    .example("retries: 5"),
];

/// How a new version takes over.
pub const DEPLOYMENT: &[Key] = &[
    choice(
        "deployment_strategy",
        &["rolling", "replace"],
        "How a new version takes over: beside the old one, which leaves when the new one is healthy, or after the old one has stopped, for \
         apps of which two must never run at once.",
    )
    .default("rolling; replace with a preset")
    .example("deployment_strategy: replace"),
    choice(
        "naming_strategy",
        &["dynamic", "static"],
        "What containers are called: `{app}-{deployment}-{replica}`, or like the app, so that others find it under one name for ever. \
         `static` needs strategy `replace` and one replica.",
    )
    .default("dynamic; static with a preset")
    .example("naming_strategy: static"),
    seconds("min_ready_seconds", MIN_READY.0, MIN_READY.1, "How long a new container must stay healthy before it takes over.")
        .default("0")
        .example("min_ready_seconds: 10"),
    seconds("deploy_timeout", DEPLOY_TIMEOUT.0, DEPLOY_TIMEOUT.1, "How long a new version may take until all its containers are healthy.")
        .default("2m")
        .example("deploy_timeout: 5m"),
    seconds("drain_timeout", DRAIN_TIMEOUT.0, DRAIN_TIMEOUT.1, "How long requests under way may go on in a container that is to leave.")
        .default("30s")
        .example("drain_timeout: 2m"),
    seconds("stop_timeout", STOP_TIMEOUT.0, STOP_TIMEOUT.1, "How long a container has to end by itself before it is killed.")
        .default("10s")
        .example("stop_timeout: 30s"),
    key("deployments_to_keep", Shape::Value(Kind::Whole(1, 1000)), "How many deployments are kept.").superseded("`image.history.count`"),
];

/// What it is told and what it keeps.
pub const ENVIRONMENT: &[Key] = &[
    key(
        "env",
        Shape::List(&VARIABLE),
        "Environment variables of the containers. `${NAME}` in a value stands for the variable of that name in this list; `$${NAME}` is \
         the text `${NAME}` itself.",
    )
    .private()
    .example("env:\n  - name: LOG_LEVEL\n    value: info\n  - name: DATABASE_URL\n    from:\n      env: DATABASE_URL"),
    boolean("env_merge", "Whether a target's `env` is merged with the root's by name, in place of replacing it.")
        .default("false")
        .example("env_merge: true"),
    list(
        "volumes",
        "What is mounted: `name:/path` for a volume that Docker keeps, `/host/path:/path` for a directory of the server; `:ro` behind it \
         makes it read-only.",
    )
    .example("volumes:\n  - shop-data:/data\n  - /etc/ssl/certs:/certs:ro"),
];

const VARIABLE: Shape = Shape::Either(&[
    Shape::Object(&[&[
        key("name", Shape::Variable { capitals: false }, "The variable's name.").required().example("name: LOG_LEVEL"),
        key("value", Shape::Value(Kind::Literal), "Its value.").example("value: info"),
        key("from", FROM, "Where its value comes from. A name without `value` and `from` takes the variable of that name.")
            .example("from:\n  secret: onepassword:production-db.password"),
        boolean("build_arg", "Whether it is a build argument, too.").default("false").example("build_arg: true"),
        text("secret_name", "One of the server's own secrets.").superseded("`from: {secret: NAME}`"),
    ]]),
    Shape::Variable { capitals: true },
]);

/// How containers are created.
pub const CONTAINER: &[Key] = &[
    literal("user", "Who the program runs as: a name or number, and a group behind a colon.")
        .default("the image's")
        .example("user: \"1000:1000\""),
    text("working_dir", "The directory that the program starts in.").default("the image's").example("working_dir: /app"),
    key("labels", Shape::Names(&Shape::Value(Kind::Literal)), "Labels of the containers; `dev.haloy.` is haloy's own.")
        .example("labels:\n  com.example.team: shop"),
    key("resources", Shape::Object(&[RESOURCES]), "Limits of each container.").example("resources:\n  memory: 512m\n  cpus: 1.5"),
    literal("stop_signal", "The signal that asks the app to end.").default("the image's, else SIGTERM").example("stop_signal: SIGQUIT"),
    key("shm_size", Shape::Value(Kind::Bytes), "The size of `/dev/shm`.").default("64m").example("shm_size: 256m"),
    key(
        "ulimits",
        Shape::Names(&ULIMIT),
        "Limits of the processes, as `ulimit` knows them: one number, or `soft` and `hard`; -1 is unlimited.",
    )
    .example("ulimits:\n  nofile: 65536"),
    list("cap_add", "Linux capabilities to add.").example("cap_add: [NET_ADMIN]"),
    list("cap_drop", "Linux capabilities to drop; `ALL` drops every one.").example("cap_drop: [ALL]"),
    boolean("read_only", "Whether the container's own file system cannot be written to.").default("false").example("read_only: true"),
    list("tmpfs", "File systems in memory: a path, and mount options behind a colon.").example("tmpfs:\n  - /tmp:size=64m"),
    list("extra_hosts", "Names that the containers know: `name:address`; the address `host-gateway` is the server.")
        .example("extra_hosts:\n  - db.internal:10.0.0.7"),
    key("logging", Shape::Object(&[LOGGING]), "Where Docker keeps the app's output.")
        .default("three files of 10 MB")
        .example("logging:\n  driver: journald"),
];

const RESOURCES: &[Key] = &[
    key("memory", Shape::Value(Kind::Bytes), "More memory than this, and the kernel ends the container.").example("memory: 512m"),
    key("cpus", Shape::Value(Kind::Decimal), "How many processors it may keep busy.").example("cpus: 1.5"),
    key("pids", Shape::Value(Kind::Whole(PIDS.0, PIDS.1)), "How many processes and threads it may have.").example("pids: 200"),
];

const ULIMIT: Shape = Shape::Either(&[
    Shape::Value(Kind::Literal),
    Shape::Object(&[&[
        literal("soft", "What holds.").required().example("soft: 1024"),
        literal("hard", "How far a process may raise it.").required().example("hard: 65536"),
    ]]),
]);

const LOGGING: &[Key] = &[
    text("driver", "A logging driver of the engine.").default("json-file").example("driver: journald"),
    key("options", Shape::Names(&Shape::Value(Kind::Literal)), "Its options.").example("options:\n  max-size: 50m"),
];

/// What runs where `haloy deploy` runs.
pub const HOOKS: &[Key] = &[
    list(
        "pre_deploy",
        "Shell commands that run before the deployment on the machine that deploys, in the directory of this file. The first that fails \
         ends the deployment.",
    )
    .example("pre_deploy:\n  - npm test"),
    list("post_deploy", "Shell commands that run after the new version serves, like `pre_deploy`.")
        .example("post_deploy:\n  - ./smoke-test.sh"),
];
