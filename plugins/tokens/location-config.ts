/** Where a call has its token or key, as operators write it. */
import { z } from 'zod';

const locationSchema = z
  .strictObject({
    header: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, 'a header name has letters, digits, hyphens and _')
      .transform((name) => name.toLowerCase())
      .optional()
      .describe('The name of a header.'),
    prefix: z
      .string()
      .default('')
      .describe(
        'What is before the token in the header, such as "Bearer ", in any case. A header without it has no token.',
      ),
    cookie: z
      .string()
      .regex(/^[^\s;,="\p{Cc}]+$/u, 'it is not the name of a cookie')
      .optional()
      .describe('The name of a cookie.'),
    query: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, 'a query parameter here has letters, digits, hyphens and _')
      .optional()
      .describe('The name of a query parameter.'),
  })
  .superRefine(({ header, prefix, cookie, query }, context) => {
    if ([header, cookie, query].filter((one) => one !== undefined).length !== 1)
      context.addIssue({ code: 'custom', message: 'expected one of header, cookie and query' });
    if (prefix !== '' && header === undefined)
      context.addIssue({ code: 'custom', path: ['prefix'], message: 'a prefix is for a header' });
  });
export type Location = z.output<typeof locationSchema>;
export const locationsSchema = z.array(locationSchema).min(1).max(20);
export const BEARER: Location = { header: 'authorization', prefix: 'Bearer ' };
