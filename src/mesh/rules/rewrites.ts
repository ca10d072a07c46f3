/** `rewrite` and `redirect` of a route of a VirtualService. */
import { z } from 'zod';
import { oneLine, patternOf, regex } from './proxy-values.ts';
import { port } from './values.ts';

export const rewrite = z
  .strictObject({
    uri: oneLine.min(1).optional(),
    authority: oneLine.min(1).optional(),
    uriRegexRewrite: z
      .strictObject({ match: regex, rewrite: oneLine })
      .superRefine(({ match, rewrite: text }, context) => {
        const pattern = patternOf(match);
        const groups = typeof pattern === 'string' ? 9 : pattern.groupCount();
        for (const [reference, group] of text.matchAll(/\\([^\\]|$|\\)/g))
          if (group !== '\\' && (!/^\d$/.test(group ?? '') || Number(group) > groups))
            context.addIssue({
              code: 'custom',
              path: ['rewrite'],
              message: `${reference} stands for no group of the pattern; it has \\0 to \\${groups}`,
            });
      })
      .optional(),
  })
  .refine(({ uri, uriRegexRewrite }) => uri === undefined || uriRegexRewrite === undefined, {
    message: 'expected one of uri and uriRegexRewrite',
  })
  .refine((one) => Object.keys(one).length > 0, { message: 'expected uri, uriRegexRewrite or authority' });

export const redirect = z
  .strictObject({
    uri: oneLine.optional(),
    prefixRewrite: oneLine.min(1).optional(),
    authority: oneLine.optional(),
    port: port.optional(),
    derivePort: z.enum(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']).optional(),
    scheme: z.enum(['http', 'https']).optional(),
    redirectCode: z
      .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
      .default(301),
  })
  .refine((one) => one.port === undefined || one.derivePort === undefined, {
    message: 'expected one of port and derivePort',
  })
  .refine((one) => one.uri === undefined || one.prefixRewrite === undefined, {
    message: 'expected one of uri and prefixRewrite',
  })
  .refine(
    ({ uri, prefixRewrite, authority, scheme, port, derivePort }) =>
      [uri, prefixRewrite, authority, scheme, port, derivePort].some((one) => one !== undefined),
    { message: 'expected uri, authority, scheme or port; the call would be sent where it came from' },
  );
