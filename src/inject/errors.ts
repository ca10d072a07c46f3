/** Codes of `sluice inject`; docs/errors.md is generated from this table. */
export const INJECT_ERRORS = {
  INJECT_YAML: {
    means: 'A document is not valid YAML, or its aliases or its nesting have no bound.',
    fix: 'Correct it at the position; documents before it have been written.',
  },
  INJECT_OBJECT: {
    means: 'An object of a kind that is injected has not the form of that kind.',
    fix: 'Write the field as the message says; `kubectl apply --dry-run=server` checks the rest.',
  },
  INJECT_ANNOTATION: {
    means: 'An annotation that configures the injection has an invalid value.',
    fix: 'Correct it as the message says; docs/inject.md lists all annotations.',
  },
  INJECT_TEMPLATE: {
    means: 'The template cannot be read, does not end within its bounds, or does not make a pod.',
    fix: 'Correct it at the line that the message names; docs/inject.md describes the language and its bounds.',
  },
  INJECT_CONFIG: {
    means: 'The injection configuration or the mesh configuration has a wrong form.',
    fix: 'Give the text of the ConfigMap, or the ConfigMap itself: `policy` and `template`, or the fields of a MeshConfig.',
  },
  INJECT_SIZE: {
    means: 'A document is larger than any API server accepts.',
    fix: 'Put `---` between its objects; documents before it have been written.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type InjectErrorCode = keyof typeof INJECT_ERRORS;

export class InjectError extends Error {
  readonly code: InjectErrorCode;
  /** The annotation of the pod at fault. */
  readonly annotation: string | undefined;

  constructor(code: InjectErrorCode, message: string, annotation?: string) {
    super(message);
    this.name = 'InjectError';
    this.code = code;
    this.annotation = annotation;
  }
}
