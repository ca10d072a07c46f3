/** What can be wrong with an adapter or with opening a handler. docs/errors.md is made from this table. */
export const ADAPTER_ERRORS = {
  ADAPTER_BAD_NAME: {
    means: 'The name of an adapter is missing or not in kebab-case.',
    fix: 'Name it after what it serves, then where: `quota-redis`.',
  },
  ADAPTER_NO_SUMMARY: {
    means: 'An adapter has no summary.',
    fix: 'Say in one sentence what it does; it heads its page and `sluice plugins`.',
  },
  ADAPTER_BAD_SERVES: {
    means: 'What an adapter serves is empty or names an unknown capability, type or algorithm.',
    fix: 'Serve at least one of enrich, check, quota and report, with the types of the contract.',
  },
  ADAPTER_FIELD_UNDESCRIBED: {
    means: "A field of an adapter's config or params has no description.",
    fix: "Add `.describe('...')` to the field: its documentation and messages come from there.",
  },
  ADAPTER_NOT_STRICT: {
    means: "An object in an adapter's config or params takes unknown keys, so a typo of an operator would pass unseen.",
    fix: 'Use `z.strictObject`.',
  },
  ADAPTER_NAME_TAKEN: {
    means: 'Two adapters have one name.',
    fix: 'Rename one of them.',
  },
  ADAPTER_LOAD_FAILED: {
    means:
      'The module of a plugin could not be imported, or its default export is not an adapter. It costs only the policies that name it.',
    fix: 'Correct the module where the message says; export `defineAdapter({ ... })` as default from `adapter.ts`.',
  },
  ADAPTER_OPEN_FAILED: {
    means: 'A handler could not be opened with its config.',
    fix: "Correct what the message names in the handler's config. A backend that is away is not a reason: tell the plugin's author.",
  },
  ADAPTER_OPEN_LATE: {
    means: 'Opening a handler took too long.',
    fix: "Opening must not wait for a backend: tell the plugin's author.",
  },
  ADAPTER_METHOD_MISSING: {
    means: "What an adapter's `open` returned does not have the methods of what it serves, or has others.",
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
