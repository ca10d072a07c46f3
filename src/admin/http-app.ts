/** The fastify application behind each HTTP port. */
import fastify, { type FastifyInstance } from 'fastify';

export interface HttpAppOptions {
  /** Time to receive a whole request; slower clients are disconnected. */
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
    // No route has a schema; with these stubs fastify does not load its schema compilers, which are larger than itself.
    schemaController: { compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas } },
  });

const withoutSchemas = (): never => {
  throw new Error('routes of this application must not have schemas');
};
