/** Errors in attributes that are written by hand (cases, `sluice explain`, `sluice call`). */
export const ATTRIBUTE_ERRORS = {
  ATTRIBUTE_UNKNOWN: {
    means: 'A request names an attribute that is neither in the vocabulary nor declared by the policy.',
    fix: 'Use a name of docs/attributes.md, or declare it under `attributes` in the policy.',
  },
  ATTRIBUTE_VALUE: {
    means: 'A request gives an attribute a value that is not of its type.',
    fix: 'Write the value as the message shows: an address as text, a time as RFC 3339, a span such as 2s.',
  },
} as const;

export type AttributeErrorCode = keyof typeof ATTRIBUTE_ERRORS;

/** Thrown for a request that is written by hand; the message names the attribute. */
export class AttributeError extends Error {
  readonly code: AttributeErrorCode;
  readonly attribute: string;
  constructor(code: AttributeErrorCode, attribute: string, message: string) {
    super(message);
    this.name = 'AttributeError';
    this.code = code;
    this.attribute = attribute;
  }
}
