/** Codes of findings about a policy; docs/errors.md is generated from this table. Expressions have codes of their own area. */
export const RULES_ERRORS = {
  RULES_FILE_UNREADABLE: {
    means: 'A file or folder of the policy could not be read.',
    fix: 'Check the path and its permissions.',
  },
  RULES_NO_RULES: {
    means: 'The policy contains no rule.',
    fix: 'Write at least one rule under `rules:`, or check that the right folder was named.',
  },
  RULES_YAML: {
    means: 'The text is not valid YAML, or uses YAML that a policy may not contain.',
    fix: 'Look at the marked position; quote expressions that contain special characters of YAML.',
  },
  RULES_QUOTE_IT: {
    means: 'YAML does not read the value as text (but as a tag, null or a map), where an expression is expected.',
    fix: 'Put the whole expression in single quotes.',
  },
  RULES_DOCUMENT: {
    means: 'A document is not a policy: it is not a map, or belongs to another program.',
    fix: 'The top-level keys of a policy are `rules`, `handlers`, `attributes` and `settings`.',
  },
  RULES_PEER_FORMAT: {
    means:
      'The document is in the format of envoyproxy/ratelimit, of Istio Mixer, or of routing before Istio 0.8; none of these is a policy.',
    fix: 'Write what the message names in the language of Sluice (docs/how-to/from-mixer.md), or move the file out of the folder; `sluice ratelimit` reads files of envoyproxy/ratelimit.',
  },
  RULES_UNKNOWN_KEY: {
    means: 'A key is unknown at this place.',
    fix: 'Use the key that the message suggests, or remove it.',
  },
  RULES_MISSING_KEY: { means: 'A required key is missing.', fix: 'Add it.' },
  RULES_DUPLICATE: {
    means: 'A name is used twice, or a setting has two values.',
    fix: 'Rename or remove one of the two.',
  },
  RULES_NAME: {
    means: 'A name has characters that names may not have.',
    fix: 'Use lower case letters, digits and single hyphens: `no-path-tricks`.',
  },
  RULES_VALUE: {
    means: 'A value is not of the expected kind.',
    fix: 'Write a value of the kind that the message names.',
  },
  RULES_UNKNOWN_ADAPTER: {
    means: 'No loaded plugin has an adapter of this name.',
    fix: 'Check the spelling; `sluice plugins` lists the adapters.',
  },
  RULES_BROKEN_ADAPTER: {
    means: 'The plugin of this adapter could not be loaded.',
    fix: 'Fix the plugin as the message says; `sluice plugins` lists the broken ones. Policies that do not use it still load.',
  },
  RULES_MANY_HEADERS: {
    means: 'A rule alone adds more headers, query parameters and metadata than one answer may have.',
    fix: 'Remove some, or put several values into one header. With more than 100 headers Envoy takes no answer over HTTP.',
  },
  RULES_SECRET_IN_TEXT: {
    means: 'A text that leaves Sluice (header, body, metadata, query parameter) contains a secret.',
    fix: 'Remove it, or write `${reveal(...)}` to send it in the clear on purpose.',
  },
  RULES_SECRET_HIDDEN: {
    means: 'A report field reads a secret, which is written as `(secret)`.',
    fix: 'Read only what the report needs instead of the whole map, or write `reveal(...)` to write the secret in the clear on purpose.',
  },
  RULES_UNKNOWN_HANDLER: {
    means: 'A rule names a handler that the policy does not declare.',
    fix: 'Declare it under `handlers:`, or correct the name.',
  },
  RULES_CAPABILITY: {
    means: "The handler's adapter does not serve this kind of action.",
    fix: 'Use a handler whose adapter does; `sluice plugins show NAME` prints what an adapter serves.',
  },
  RULES_SPOOL: {
    means: 'A handler cannot spool its reports on disk.',
    fix: 'Write `settings: { spool: { folder: ... } }`, or remove `spool` from a handler that serves no reports or counts them in this process.',
  },
  RULES_CONFIG: {
    means: "The config of a handler does not match its adapter's schema.",
    fix: "`sluice plugins show NAME` prints the adapter's config.",
  },
  RULES_PARAMS: {
    means: "The params of a rule do not match the schema of the handler's adapter.",
    fix: "`sluice plugins show NAME` prints the adapter's params.",
  },
  RULES_ENV: {
    means: 'A config value refers to an environment variable that is not set.',
    fix: 'Set it in the environment of Sluice.',
  },
  RULES_CONFIG_FILE: {
    means: 'A config value refers to a file that could not be read.',
    fix: "Check the path (relative to the policy's file) and its permissions.",
  },
  RULES_ATTRIBUTE_NAME: {
    means: 'The name of an attribute declared by the policy is not allowed.',
    fix: 'Names begin with `my.`: `my.tier`, `my.user.name`.',
  },
  RULES_ATTRIBUTE_CYCLE: {
    means: 'Named expressions depend on each other in a cycle, or more than 1000 of them in a row.',
    fix: 'Write one of them without the others; of a long row, write some in one.',
  },
  RULES_ENRICH_CYCLE: {
    means: "Enrich rules depend on each other's outputs in a cycle.",
    fix: 'Let one of them read only what the proxy sends.',
  },
  RULES_ENRICH_OUTPUT: {
    means: 'Two declarations define the same attribute.',
    fix: 'Give each enrich rule its own `as`.',
  },
  RULES_ADAPTER_SHAPE: {
    means:
      'An adapter threw an error when asked for its inputs, outputs or defaults with this config, or answered what is none.',
    fix: "Report the bug to the plugin's author.",
  },
  RULES_UNKNOWN_INPUT: { means: 'The adapter has no input of this name.', fix: 'Use one that the message names.' },
  RULES_MISSING_INPUT: {
    means: 'The adapter requires an input that the rule does not pass.',
    fix: 'Add it under `input`.',
  },
  RULES_INPUT_TYPE: {
    means: "The type of an expression cannot be converted to the type of the adapter's input.",
    fix: 'Convert it in the expression, as the message says.',
  },
  RULES_ACTIONS: { means: 'A rule has more than one action.', fix: 'Split it into one rule per action.' },
  RULES_MISPLACED: {
    means: 'A key has no meaning in this kind of rule.',
    fix: 'Remove it, or move it to the kind of rule that the message names.',
  },
  RULES_MASK: {
    means: 'A mask names an attribute that the policy does not have, or a key of one that is no map.',
    fix: 'Correct the name; docs/attributes.md lists the attributes.',
  },
  RULES_UNKNOWN_GROUP: {
    means: 'A deny rule waits for a group that no allow rule belongs to.',
    fix: 'Add an `allow` rule of that group, or correct the name.',
  },
  RULES_CALLS: {
    means:
      'A rule cannot be asked in a call: its action has no meaning there, or the call does not carry what the rule reads.',
    fix: 'Name other calls, or guard the read as the message says.',
  },
  RULES_ON_ERROR: {
    means: 'An `onError` has a value that this kind of rule does not support.',
    fix: 'Use one of the values that the message names.',
  },
  RULES_COUNTER: {
    means: 'Two quota rules share a counter with different periods or algorithms.',
    fix: 'Make `per` and `algorithm` equal, or give one rule another `counter`.',
  },
  RULES_NEVER_GRANTED: {
    means: 'A warning: a call costs more than the limit (with `gcra`, the burst) of its quota, so none ever passes.',
    fix: 'Raise the limit, lower the cost, or write `partial: true`. For a quota that refuses all write `limit: 0`, or a deny.',
  },
  RULES_HEADER_NAME: {
    means: 'The header may not be changed, or its name is not valid in HTTP.',
    fix:
      'Use letters, digits and hyphens. Names with `:`, `host`, and headers that route or delimit a message ' +
      '(`content-length`, `connection` ...) belong to the proxy.',
  },
  RULES_PATH_AS_SENT: {
    means:
      'A warning: `request.path` is the path as the client sent it, with its query, so an equality test is easily bypassed.',
    fix: 'Compare `request.url_path`, which is normalised and without the query.',
  },
  RULES_HEADER_CARRIER: {
    means: 'A warning: an attribute comes from a request header, which any client can send.',
    fix: "Let the proxy set the header and remove the client's own; or use another carrier.",
  },
  RULES_TCP_OPEN: {
    means: 'A warning: calls that nothing allows are denied in http, but pass in tcp.',
    fix: 'Add a rule that closes tcp, or write `calls: [http]` if tcp is not used.',
  },
  RULES_UNUSED: {
    means: 'A warning: no rule uses a declared handler; it is opened nevertheless.',
    fix: 'Remove it, or use it.',
  },
  RULES_NO_EFFECT: {
    means: 'A rule has neither an action nor changes; perhaps its end was cut off.',
    fix: 'Give it an action or `onAllow`, or remove it.',
  },
  RULES_COUNT: {
    means: 'The number of rules differs from `settings.rules`; perhaps a file was truncated.',
    fix: 'Complete the file, or correct `settings.rules`.',
  },
  RULES_HOST_FORM: {
    means:
      'A warning: `request.host` is compared with text that it never equals: it is in lower case, without port and trailing dot.',
    fix: 'Write the host as the message says; the port is `request.port`, and the host as sent is `request.authority`.',
  },
  RULES_PRINCIPAL_FORM: {
    means: 'A warning: a principal is compared with text that it never equals: principals have no `spiffe://`.',
    fix: 'Write the text without `spiffe://`, or compare `source.spiffe.id` or `origin.spiffe.id`, which have it.',
  },
  RULES_CLIENT_CHOOSES: {
    means:
      'A warning: a value that clients choose freely decides whether a rule is enforced (`by`) or a request is charged (`once`).',
    fix: 'Use values that the proxy sets or verifies, such as `source.principal` or `origin.ip`, or add them.',
  },
  RULES_PARTIAL_BODY: {
    means:
      'A warning: a rule that refuses reads the body behind a guard, so requests whose body Envoy sends partly or not at all pass.',
    fix: 'Deny `request.body_is_partial` in a separate rule, or read the body without a guard, so that the rule fails if it is absent.',
  },
  RULES_MORE_WARNINGS: {
    means: 'A warning: further warnings are not shown. Errors always are.',
    fix: 'Fix the first ones; often many rules lack the same guard.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type RulesErrorCode = keyof typeof RULES_ERRORS;
