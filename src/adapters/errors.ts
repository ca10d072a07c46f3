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
    means: 'Two adapters have the same name.',
    fix: 'Rename one of them.',
  },
  ADAPTER_LOAD_FAILED: {
    means:
      'The module of a plugin could not be imported, or its default export is not an adapter. Only policies that use it are affected.',
    fix: 'Fix the module at the place that the message names; export `defineAdapter({ ... })` as default from `adapter.ts`.',
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
