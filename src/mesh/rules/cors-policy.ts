/** `corsPolicy` of a route of a VirtualService. */
import { z } from 'zod';
import { duration, stringMatch } from './values.ts';

/** Of HTTP. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Browsers compare them as they are. */
const method = z
  .string()
  .regex(TOKEN, 'expected a method of HTTP, such as GET')
  .refine((text) => text === text.toUpperCase(), { message: 'methods are in capitals, as in GET' });
/** As a browser sends it, so without a colon. */
const fieldName = z.string().regex(TOKEN, 'expected the name of a header');

export const corsPolicy = z.strictObject({
  /** 1.0.2. */
  allowOrigin: z.array(z.string()).optional(),
  allowOrigins: z.array(stringMatch).optional(),
  allowMethods: z.array(method).default([]),
  allowHeaders: z.array(fieldName).default([]),
  exposeHeaders: z.array(fieldName).default([]),
  maxAge: duration.optional(),
  allowCredentials: z.boolean().optional(),
  /** Whether the application gets a preflight of an origin that is not allowed. */
  unmatchedPreflights: z.enum(['UNSPECIFIED', 'FORWARD', 'IGNORE']).optional(),
});
