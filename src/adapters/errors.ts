/** Errors of adapters and of opening handlers; docs/errors.md is generated from this table. */
export const ADAPTER_ERRORS = {
  ADAPTER_BAD_NAME: {
    means: 'The name of an adapter is missing or not in kebab-case.',
    fix: 'Name it after its capability and its backend: `quota-redis`.',
  },
  ADAPTER_NO_SUMMARY: {
    means: 'An adapter has no summary.',
    fix: 'Describe the adapter in one sentence; `sluice plugins` and its page show it.',
  },
  ADAPTER_BAD_SERVES: {
    means: 'The `serves` of an adapter is empty, or has an unknown capability, type or algorithm.',
    fix: 'Serve at least one of enrich, check, quota and report, with types of the contract.',
  },
  ADAPTER_FIELD_UNDESCRIBED: {
    means: "A field of an adapter's config or params has no description.",
    fix: "Add `.describe('...')` to the field; documentation and messages use it.",
  },
  ADAPTER_NOT_STRICT: {
    means: "An object in an adapter's config or params accepts unknown keys, so typos would go unnoticed.",
    fix: 'Use `z.strictObject`.',
  },
  ADAPTER_NAME_TAKEN: {
    means: 'Two plugins, or a plugin and Sluice itself, have an adapter of the same name.',
    fix: 'Name only one of the plugins in the policy, or rename the adapter.',
  },
  ADAPTER_LOAD_FAILED: {
    means:
      'The module of a plugin could not be imported: a syntax error, a missing import, an error that it throws, or a top-level await that does not end. Only policies that use it are affected.',
    fix: 'Fix the module at the place that the message names, or install what is missing.',
  },
  PLUGIN_NOT_FOUND: {
    means: 'There is no module for an entry of `plugins:`.',
    fix: 'Install the package in one of the places that the message names, or correct the path, which is relative to the file of the policy, or for `sluice plugins serve` to the working directory.',
  },
  PLUGIN_UNTRUSTED: {
    means:
      "A plugin lies outside of the policy's folder, in a file of a user who owns neither the policy nor the working directory.",
    fix: "Move it below the policy's folder, or change the owner of the file.",
  },
  PLUGIN_NO_ADAPTER: {
    means: 'The default export of a module is not an adapter, nor a list of adapters.',
    fix: 'Write `export default defineAdapter({ ... })`, or a list of them.',
  },
  PLUGIN_WRONG_SHAPE: {
    means: 'An adapter lacks a part of the contract, or was not made by `defineAdapter`.',
    fix: "Correct the part that the message names; for an installed package, report it to the plugin's author.",
  },
  PLUGIN_CONTRACT_VERSION: {
    means: 'A plugin was made for another version of the plugin contract.',
    fix: 'Install a release of the plugin for the version that the message names, or another release of Sluice.',
  },
  PLUGIN_BAD_DESCRIPTION: {
    means: 'The description of a plugin that runs in a process of its own cannot be used.',
    fix: 'Correct what the plugin answers to Describe as the message says; make a description file anew: `sluice plugins describe --dial ADDRESS`.',
  },
  PLUGIN_UNREACHABLE: {
    means: 'A plugin that runs in a process of its own cannot be asked which adapters it has.',
    fix: 'Start it before the policy is loaded; or name a description file in `plugins:`, with which the policy loads while the plugin is away.',
  },
  ADAPTER_OPEN_FAILED: {
    means: 'A handler could not be opened with its config.',
    fix: "Correct the handler's config as the message says. An unavailable backend must not fail `open`; if it does, report it to the plugin's author.",
  },
  ADAPTER_OPEN_LATE: {
    means: 'Opening a handler took too long.',
    fix: "`open` must not wait for a backend; report it to the plugin's author.",
  },
  ADAPTER_METHOD_MISSING: {
    means: 'The handler that `open` returned lacks a method of a served capability, or has one of another.',
    fix: 'Return `check`, `bucket` and `charge`, `sink` and `write`, or `lookup`, as `serves` says.',
  },
} as const;

export type AdapterErrorCode = keyof typeof ADAPTER_ERRORS;

export class AdapterError extends Error {
  readonly code: AdapterErrorCode;
  constructor(code: AdapterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AdapterError';
    this.code = code;
  }
}
