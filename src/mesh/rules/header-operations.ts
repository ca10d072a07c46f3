/** Headers that a route sets, adds and removes. */
import { z } from 'zod';
import { headerValue } from './proxy-values.ts';
import { headerName } from './values.ts';

/** Envoy changes no parts of the request line or the status line by the names of headers. */
export const plainName = headerName.refine((name) => name !== 'host' && !name.startsWith(':'), {
  message: 'a rule changes no host and no pseudo-header here; rewrite has the path and the authority of a request',
});
/** The host is rewritten. */
export const requestName = headerName.refine((name) => name === ':authority' || !name.startsWith(':'), {
  message: 'a rule sets no pseudo-header but :authority; rewrite has the path of a request',
});

const operations = (name: typeof headerName) =>
  z.strictObject({
    set: z.record(name, headerValue).default({}),
    add: z.record(name, headerValue).default({}),
    remove: z.array(plainName).default([]),
  });

export const changedHeaders = z.strictObject({
  request: operations(requestName).optional(),
  response: operations(plainName).optional(),
});
