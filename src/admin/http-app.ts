/** The fastify application behind each port of pages for people, probes and programs. */
import fastify, { type FastifyInstance } from 'fastify';

export interface HttpAppOptions {
  /** Time until a request has arrived whole; a client that never ends one keeps no connection. */
  readonly requestTimeoutMs?: number | undefined;
  readonly bodyLimit?: number;
}

const REQUEST_TIMEOUT_MS = 10_000;

export const makeHttpApp = ({ requestTimeoutMs = REQUEST_TIMEOUT_MS, ...options }: HttpAppOptions): FastifyInstance =>
  fastify({
    ...options,
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    // Node's defaults: a check for late requests every 30 s, and a minute for headers.
    http: { connectionsCheckingInterval: Math.min(1000, requestTimeoutMs), headersTimeout: requestTimeoutMs },
    // No route has a schema; fastify loads its own compilers of schemas, which are larger than itself, only where these are absent.
    schemaController: { compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas } },
  });

const withoutSchemas = (): never => {
  throw new Error('routes of this application have no schemas');
};
