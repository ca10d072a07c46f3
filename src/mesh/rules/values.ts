/** Values that several of Istio's kinds share. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { goDurationMs } from '../../time/duration.ts';
import { regex } from './proxy-values.ts';

/** Text of Go's form, such as `1.5s`; milliseconds. `hint`: what to write instead of 0s. */
export const durationOr = (hint: string, leastMs = 1) =>
  z.string().transform((text, context) => {
    const ms = goDurationMs(text);
    if (ms !== undefined && ms >= leastMs) return ms;
    const least = leastMs === 0 ? '' : ` of at least ${leastMs}ms`;
    context.addIssue({ code: 'custom', message: `expected a duration${least}, such as 2s or 500ms${hint}` });
    return z.NEVER;
  });
export const duration = durationOr('');

/** A field of Istio's that this control plane does not act on; an error, since nobody would notice. `instead`: what to write. */
export const unsupported = (instead: string) =>
  z
    .unknown()
    .refine((value) => value === undefined, { message: `this control plane does not support the field; ${instead}` })
    .optional();

/** One of several words; `missing`: those of Istio that this control plane does not act on, each with what to write in its place. */
export const wordOf = <const W extends string>(words: readonly W[], missing: Readonly<Record<string, string>>) =>
  z.string().transform((text, context): W => {
    const word = words.find((one) => one === text);
    if (word !== undefined) return word;
    const message = Object.hasOwn(missing, text)
      ? `this control plane does not support ${text}; ${missing[text]}`
      : `expected one of ${words.map((one) => JSON.stringify(one)).join('|')}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

export const port = z.int().min(1).max(65_535);
/** Envoy counts in millionths; less than one of them would be none. */
export const percent = z
  .number()
  .min(0)
  .max(100)
  .refine((value) => value === 0 || value >= 0.0001, { message: 'expected 0, or at least 0.0001' });
/** `{ value: 12.5 }`, as today, or 1.0.2's whole number beside it. */
export const percentage = z.strictObject({ value: percent.default(0) }).transform(({ value }) => value);

/** google.rpc.Code, by number. */
const GRPC_CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** A status of gRPC by name or number; its number. */
export const grpcStatus = z.string().transform((text, context) => {
  const code = /^\d+$/.test(text) ? Number(text) : GRPC_CODES.indexOf(text);
  if (code >= 0 && code < GRPC_CODES.length) return code;
  context.addIssue({ code: 'custom', message: 'expected a status of gRPC, such as UNAVAILABLE or 14' });
  return z.NEVER;
});

/** A test of a text: exactly one of its forms; `{}` is any text. */
export const stringMatch = z
  .strictObject({
    exact: z.string().optional(),
    prefix: z.string().min(1).optional(),
    /** `*` in old rules is any text. */
    regex: z.union([z.literal('*'), regex]).optional(),
  })
  .refine((match) => Object.values(match).filter((one) => one !== undefined).length <= 1, {
    message: 'expected one of exact, prefix and regex',
  });
export type StringMatch = z.output<typeof stringMatch>;

/** A label of DNS. */
export const label = z
  .string()
  .regex(
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
    'expected a name of lower case letters, digits and hyphens, at most 63',
  );

/** Of Kubernetes. */
export const secretName = z.string().regex(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/, 'expected the name of a Secret');

const LABEL = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
export const LABEL_KEY = new RegExp(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?${LABEL}$`);
export const NOT_A_KEY = 'expected the key of a label, such as app or example.com/team';
export const labelValue = z
  .string()
  .regex(new RegExp(`^(${LABEL})?$`), 'expected the value of a label: letters, digits, hyphens and dots, at most 63');

/** Of Kubernetes; others are on no pod. */
export const labels = z.record(z.string(), labelValue).superRefine((all, context) => {
  for (const name of Object.keys(all))
    if (!LABEL_KEY.test(name)) context.addIssue({ code: 'custom', path: [name], message: NOT_A_KEY });
});

/** A name of DNS, complete or short. */
export const host = z
  .string()
  .max(255)
  .regex(
    /^[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,62})(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,62}))*\.?$/,
    'expected the name of a host, such as reviews or reviews.default.svc.cluster.local',
  );

/** A name of DNS whose first part may be `*`. */
export const wildcardHost = z
  .string()
  .max(255)
  .regex(
    /^(\*|(\*[-.]?)?[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,62})(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,62}))*\.?)$/,
    'expected the name of a host; * may stand for its beginning, as in *.example.com',
  );

/** Envoy takes no other wildcards for names in TLS. */
export const isServerName = (name: string): boolean => !name.startsWith('*') || name === '*' || name.startsWith('*.');
export const SERVER_NAME = 'expected a server name of TLS: complete, or with *. at its beginning';

export const headerName = z
  .string()
  .regex(/^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'expected the name of a header')
  .transform((name) => name.toLowerCase());

export const exportTo = z
  .array(z.union([z.literal('*'), z.literal('.'), z.literal('~'), label]))
  .min(1)
  .refine((to) => to.length === 1 || !to.some((one) => one === '*' || one === '~'), {
    message: 'expected * (all namespaces) or ~ (none) alone',
  })
  .optional();

/** An address, with or without the length of a prefix. */
export const isAddressRange = (text: string): boolean => {
  const [ip = '', prefix] = text.split('/');
  return (
    isIP(ip) !== 0 &&
    (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (isIP(ip) === 4 ? 32 : 128)))
  );
};
