//! The key `image`, and how an image comes to be.

use super::{Key, Kind, Shape, boolean, choice, key, literal, literals, text};

/// A reference, or its parts.
pub const IMAGE: Shape = Shape::Either(&[Shape::Object(&[IMAGE_KEYS, EARLIER]), Shape::Value(Kind::Text)]);

const IMAGE_KEYS: &[Key] = &[
    text("repository", "The image's name with its registry; it may end in a tag or a digest. The app's name when absent.")
        .example("repository: ghcr.io/you/shop"),
    literal("tag", "The tag.").default("latest").example("tag: \"1.4.2\""),
    choice(
        "pull_policy",
        &["always", "if_missing", "never"],
        "When a registry is asked for the image: with every deployment, only when the server does not have it, or never. An image that \
         was built on the server is used as it is.",
    )
    .default("always; if_missing with a preset")
    .example("pull_policy: if_missing"),
    boolean("build", "Whether the image is built by `haloy deploy`. An image that names nothing but how it is built is built, too.")
        .default("true when `build_config` is there, or when the file has no `image` at all")
        .example("build: true"),
    key("registry", REGISTRY, "How to log in to the registry of the image.")
        .example("registry:\n  username:\n    value: you\n  password:\n    from:\n      env: REGISTRY_TOKEN"),
    key("history", HISTORY, "What is kept for `haloy rollback`.").example("history:\n  strategy: local\n  count: 5"),
    key("build_config", Shape::Object(&[BUILD]), "How the image is built on the machine that deploys.")
        .former(&["builder"])
        .example("build_config:\n  context: .\n  dockerfile: Dockerfile"),
];

const EARLIER: &[Key] = &[choice("source", &["registry", "local"], "Where the image comes from; `local` never asks a registry.")
    .superseded("`pull_policy: never` in place of `source: local`")];

const REGISTRY: Shape = Shape::Object(&[&[
    text("server", "The registry's host.").default("the host in `repository`, else docker.io").example("server: registry.example.com"),
    key("username", VALUE_SOURCE, "The name to log in with.").private().required().example("username:\n  value: you"),
    key("password", VALUE_SOURCE, "The password or token to log in with.")
        .private()
        .required()
        .example("password:\n  from:\n    env: REGISTRY_TOKEN"),
]]);

const HISTORY: Shape = Shape::Object(&[&[
    choice(
        "strategy",
        &["local", "registry", "none"],
        "Where the images of earlier deployments are: kept on the server, found again in the registry by their tags, or nowhere, and then \
         nothing can be rolled back.",
    )
    .default("local")
    .example("strategy: local"),
    key("count", Shape::Value(Kind::Whole(1, 1000)), "How many deployments are kept.").default("5").example("count: 5"),
    literal("pattern", "With strategy `registry`: which tags are versions, with `*` for any characters. Required there.")
        .example("pattern: \"v*\""),
]]);

const BUILD: &[Key] = &[
    text("context", "The directory that the build sees, relative to this file.")
        .former(&["build_context"])
        .default(".")
        .example("context: ."),
    text("dockerfile", "The Dockerfile, relative to this file.")
        .default("Dockerfile in the context")
        .example("dockerfile: Dockerfile.prod"),
    text("platform", "The platform to build for.").default("the server's").example("platform: linux/amd64"),
    key(
        "args",
        Shape::List(&ARGUMENT),
        "Build arguments: with a value, from the environment, from a secret provider; a name alone takes the variable of that name.",
    )
    .former(&["build_args"])
    .private()
    .example("args:\n  - name: NODE_ENV\n    value: production\n  - name: NPM_TOKEN\n    from:\n      secret: onepassword:build.npm-token"),
    choice("push", &["server", "registry"], "Where the built image goes: straight to the server, or to the image's registry.")
        .default("registry when `registry` is there, else server")
        .example("push: server"),
    literal("target", "The stage of the Dockerfile to build.").default("the last").example("target: runtime"),
    literals("cache_from", "Where to take cached layers from, as `docker build --cache-from` takes it.")
        .example("cache_from:\n  - type=registry,ref=ghcr.io/you/shop:cache"),
    literals("cache_to", "Where to put layers for later builds, as `docker build --cache-to` takes it.")
        .example("cache_to:\n  - type=inline"),
    literals("ssh", "SSH agents and keys that the build may use, as `docker build --ssh` takes them.").example("ssh:\n  - default"),
    literals("flags", "More arguments for `docker build`, one word each.").example("flags:\n  - --network=host"),
    choice("on", &["client", "server"], "Which machine builds.").default("client").example("on: server"),
];

const ARGUMENT: Shape = Shape::Either(&[
    Shape::Object(&[&[
        key("name", Shape::Variable { capitals: false }, "The argument's name.").required().example("name: NODE_ENV"),
        key("value", Shape::Value(Kind::Literal), "Its value.").example("value: production"),
        key("from", FROM, "Where its value comes from.").example("from:\n  env: VERSION"),
    ]]),
    Shape::Variable { capitals: true },
]);

/// A value written in the file or taken from elsewhere.
pub const VALUE_SOURCE: Shape = Shape::Either(&[
    Shape::Object(&[&[
        key("value", Shape::Value(Kind::Literal), "The value itself.").example("value: you"),
        key("from", FROM, "Where the value comes from.").example("from:\n  env: NAME"),
        choice("type", &["plain", "env", "secret"], "What `value` is.").superseded("`value`, or `from` with `env` or `secret`"),
    ]]),
    Shape::Value(Kind::Literal),
]);

/// Where a value comes from.
pub const FROM: Shape = Shape::Object(&[&[
    key("env", Shape::Variable { capitals: false }, "The environment variable, or entry of a `.env` file, that holds the value.")
        .example("env: DATABASE_URL"),
    key(
        "secret",
        Shape::Value(Kind::Text),
        "A secret: `provider:source.key` or `provider:source:key` with a source of `secret_providers`, or the name of one of the server's \
         own secrets.",
    )
    .example("secret: onepassword:production-db.password"),
]]);

/// `source` of the first generation: where the image comes from.
pub const SOURCE: Shape = Shape::Object(&[&[
    key("image", IMAGE, "The image.").example("image:\n  repository: ghcr.io/you/shop"),
    key(
        "dockerfile",
        Shape::Object(&[&[
            text("path", "The Dockerfile.").superseded("`image.build_config.dockerfile`"),
            text("build_context", "The directory that the build sees.").superseded("`image.build_config.context`"),
            key("build_args", Shape::Names(&Shape::Value(Kind::Literal)), "Build arguments.")
                .private()
                .superseded("`image.build_config.args`"),
        ]]),
        "How the image is built.",
    )
    .superseded("`image.build_config`"),
]]);
