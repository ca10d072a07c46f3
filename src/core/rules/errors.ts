/** Every code that loading a policy can say, for docs/errors.md. Expressions keep the codes of their own area. */
export const RULES_ERRORS = {
  RULES_FILE_UNREADABLE: {
    means: 'A file or folder of the policy could not be read.',
    fix: 'Check the path and who may read it.',
  },
  RULES_NO_RULES: {
    means: 'The policy holds no rule at all.',
    fix: 'Write at least one rule under `rules:`, or check that the right folder was named.',
  },
  RULES_YAML: {
    means: 'The text is not YAML, or uses what a policy cannot hold.',
    fix: "Look at the marked place; an expression that holds YAML's own characters must stand in quotes.",
  },
  RULES_QUOTE_IT: {
    means: 'YAML reads the value as something else than text (a tag, nothing, a map), where an expression is expected.',
    fix: 'Put the whole expression in single quotes.',
  },
  RULES_DOCUMENT: {
    means: 'A document is not a policy: its top is not a map, or it belongs to something else.',
    fix: 'A policy has `rules`, `handlers`, `attributes` and `settings` at its top.',
  },
  RULES_PEER_FORMAT: {
    means: 'The document is in the format of envoyproxy/ratelimit or Istio, which this release does not translate.',
    fix: "Write the rules in Sluice's own language, or leave the file out of the folder; for files of envoyproxy/ratelimit there is `sluice ratelimit`.",
  },
  RULES_UNKNOWN_KEY: {
    means: 'A key that is not known at this place.',
    fix: 'Use the key that the message names, or remove it.',
  },
  RULES_MISSING_KEY: { means: 'A key that must be there is not.', fix: 'Add it.' },
  RULES_DUPLICATE: {
    means: 'Two things have one name, or one setting has two values.',
    fix: 'Rename or remove one of the two.',
  },
  RULES_NAME: {
    means: 'A name is not written as names are.',
    fix: 'Use lower case letters, digits and single hyphens: `no-path-tricks`.',
  },
  RULES_VALUE: {
    means: 'A value is not of the kind that is expected at this place.',
    fix: 'Write a value of the kind that the message names.',
  },
  RULES_LATER: {
    means: 'The language has this, this release does not.',
    fix: 'Do without it, or wait for the release that brings it.',
  },
  RULES_UNKNOWN_ADAPTER: {
    means: 'No loaded plugin offers an adapter of this name.',
    fix: 'Check the spelling; `sluice plugins` lists them.',
  },
  RULES_BROKEN_ADAPTER: {
    means: 'The plugin that offers this adapter could not be loaded.',
    fix: 'Mend the plugin as the message says; `sluice plugins` lists those that are broken. Policies that do not name it work.',
  },
  RULES_SECRET_IN_TEXT: {
    means: 'A text that leaves Sluice (a header, a body, metadata, a query parameter) reads a secret.',
    fix: 'Leave it out, or write `${reveal(...)}` where it is meant to go out in the clear.',
  },
  RULES_SECRET_HIDDEN: {
    means: 'A field of a report reads a secret; it is written as `(secret)`.',
    fix: 'Name what the report needs instead of the whole map, or write `reveal(...)` where the secret is meant to be written in the clear.',
  },
  RULES_UNKNOWN_HANDLER: {
    means: 'A rule names a handler that the policy does not have.',
    fix: 'Declare it under `handlers:`, or correct the name.',
  },
  RULES_CAPABILITY: {
    means: "The handler's adapter does not serve this kind of action.",
    fix: 'Name a handler whose adapter does; `sluice plugins show NAME` says what one serves.',
  },
  RULES_CONFIG: {
    means: "A handler's config is not what its adapter accepts.",
    fix: "`sluice plugins show NAME` prints the adapter's config.",
  },
  RULES_PARAMS: {
    means: "A rule's params are not what the handler's adapter accepts.",
    fix: "`sluice plugins show NAME` prints the adapter's params.",
  },
  RULES_ENV: {
    means: 'A config value names an environment variable that is not set.',
    fix: 'Set it where Sluice is started.',
  },
  RULES_CONFIG_FILE: {
    means: 'A config value names a file that could not be read.',
    fix: "Check the path (relative to the policy's file) and who may read it.",
  },
  RULES_ATTRIBUTE_NAME: {
    means: "A policy's own attribute has a name that it cannot have.",
    fix: 'Names stand under `my.`: `my.tier`, `my.user.name`.',
  },
  RULES_ATTRIBUTE_CYCLE: {
    means: 'Named expressions use each other in a circle.',
    fix: 'Write one of them without the other.',
  },
  RULES_ENRICH_CYCLE: {
    means: "Enrich rules need each other's outputs in a circle.",
    fix: 'Let one of them read only what the proxy sends.',
  },
  RULES_ENRICH_OUTPUT: {
    means: 'Two declarations make one attribute.',
    fix: 'Give each enrich rule an `as` of its own.',
  },
  RULES_ADAPTER_SHAPE: {
    means: 'An adapter could not say which inputs or outputs it has for this config.',
    fix: 'This is a fault of the plugin; tell its author.',
  },
  RULES_UNKNOWN_INPUT: { means: 'The adapter has no input of this name.', fix: 'Use one that the message names.' },
  RULES_MISSING_INPUT: {
    means: 'The adapter needs an input that the rule does not give.',
    fix: 'Add it under `input`.',
  },
  RULES_INPUT_TYPE: {
    means: "An expression's type cannot be turned into what the adapter's input takes.",
    fix: 'Convert it in the expression, as the message says.',
  },
  RULES_ACTIONS: { means: 'A rule has more than one action.', fix: 'Split it into one rule for each action.' },
  RULES_MISPLACED: {
    means: 'A key that is known, but means nothing in this kind of rule.',
    fix: 'Remove it, or move it to the rule that the message names.',
  },
  RULES_UNKNOWN_GROUP: {
    means: 'A deny waits for a group that no allow rule is in.',
    fix: 'Add an `allow` rule of that group, or correct the name.',
  },
  RULES_CALLS: {
    means:
      'A rule cannot be asked in a call: the action has no meaning there, or the call cannot carry what the rule reads.',
    fix: 'Name other calls, or guard the read as the message says.',
  },
  RULES_ON_ERROR: {
    means: 'An `onError` says something that this kind of rule cannot do.',
    fix: 'Use one of the words that the message names.',
  },
  RULES_COUNTER: {
    means: 'Two quota rules share a counter, but not its period and algorithm.',
    fix: 'Make `per` and `algorithm` equal, or give one rule another `counter`.',
  },
  RULES_HEADER_NAME: {
    means: "A header of this name cannot be changed, or the name is not one of HTTP's.",
    fix: "Use letters, digits and hyphens; names with `:`, `host`, and headers about the message itself (`content-length`, `connection` ...) are the proxy's own.",
  },
  RULES_PATH_AS_SENT: {
    means:
      'A warning: `request.path` is as the client sent it, with the query, so comparing it whole is easy to get around.',
    fix: 'Compare `request.url_path`, which is normalised and without the query.',
  },
  RULES_HEADER_CARRIER: {
    means: 'A warning: an attribute comes from a request header, which any client can send.',
    fix: 'Have the proxy set it, and take it out of what clients send; or use another carrier.',
  },
  RULES_TCP_OPEN: {
    means: 'A warning: what nothing allows is denied in http calls, and passes in tcp calls.',
    fix: 'Add a rule that closes tcp, or say `calls: [http]` where tcp is not used.',
  },
  RULES_UNUSED: {
    means: 'A warning: a handler is declared and used by no rule; it is opened all the same.',
    fix: 'Remove it, or use it.',
  },
  RULES_NO_EFFECT: {
    means: 'A rule has no action and changes nothing, as one does whose end is missing.',
    fix: 'Give it an action or `onAllow`, or remove it.',
  },
  RULES_COUNT: {
    means: 'The policy has not as many rules as `settings.rules` says, as where a file was cut short.',
    fix: 'Complete the file, or correct `settings.rules`.',
  },
  RULES_HOST_FORM: {
    means:
      'A warning: `request.host` is compared with text that no host equals: it is in lower case, without the port and without a dot at the end.',
    fix: 'Write the host as the message says; the port is `request.port`, and what the client sent is `request.authority`.',
  },
  RULES_CLIENT_CHOOSES: {
    means:
      'A warning: what clients may send as they like decides whether a rule is enforced (`by`), or whether they are charged (`once`).',
    fix: 'Read what the proxy makes or checks, such as `source.principal` or `origin.ip`, or mix it in.',
  },
  RULES_PARTIAL_BODY: {
    means:
      'A warning: a rule that refuses reads the body behind a guard, so that a body of which Envoy sends only a part, or none, passes.',
    fix: 'Refuse `request.body_is_partial` in a rule of its own, or read the body without a guard: the rule then fails where it is absent.',
  },
  RULES_MORE_WARNINGS: {
    means: 'A warning: there are so many that the rest is not shown. Errors always are.',
    fix: 'Mend what the first ones say; often one guard is missing in many rules.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type RulesErrorCode = keyof typeof RULES_ERRORS;
