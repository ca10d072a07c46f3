/** Codes of findings about Istio's documents, beside those of every policy; docs/errors.md is generated from this table. */
export const ISTIO_ERRORS = {
  ISTIO_KIND: {
    means: 'The document is of a kind or version of Istio that Sluice does not translate.',
    fix: 'Write its rules in the language of Sluice, or move the file out of the folder. docs/istio.md lists what is translated.',
  },
  ISTIO_KEY: {
    means: 'The key of a condition is unknown, or not of its form.',
    fix: 'Use a key of those that the message names; docs/istio.md lists all.',
  },
  ISTIO_VALUE: {
    means: 'A value of an Istio document is not of the form that its field takes.',
    fix: 'Write it as the message says.',
  },
  ISTIO_UNSUPPORTED: {
    means: 'The document asks for something that rules at ext_authz cannot mean.',
    fix: 'Remove it, or express it as the message says.',
  },
  ISTIO_PROVIDER: {
    means: 'A CUSTOM policy names a provider that the policy does not declare.',
    fix: 'Declare a handler of that name that serves check, or write settings.istio.providers; with --lenient the policy denies instead.',
  },
  ISTIO_NEVER: {
    means: 'A warning: the policy, or a part of it, never applies.',
    fix: 'Check whether it is complete.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type IstioErrorCode = keyof typeof ISTIO_ERRORS;
