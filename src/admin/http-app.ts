/** The fastify application behind each HTTP port. */
import fastify, { type FastifyInstance } from 'fastify';
import { HOST_REFUSED, isAllowedHost } from './host-check.ts';

/** Parameters of a query; a repeated one is a list. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface HttpAppOptions {
  /** Time to receive a whole request; slower clients are disconnected. */
  readonly requestTimeoutMs?: number | undefined;
  readonly bodyLimit?: number;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** A filter by the name of a rule, which an imported document may write in 4 Ki letters, each of six characters in a URL. */
const MAX_HEADER_SIZE = 64 * 1024;

export const makeHttpApp = ({ requestTimeoutMs = REQUEST_TIMEOUT_MS, ...options }: HttpAppOptions): FastifyInstance =>
  fastify({
    ...options,
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    // Node's defaults: a check for late requests every 30 s, and a minute for headers.
    http: {
      connectionsCheckingInterval: Math.min(1000, requestTimeoutMs),
      headersTimeout: requestTimeoutMs,
      maxHeaderSize: MAX_HEADER_SIZE,
    },
    // No route has a schema; with these stubs fastify does not load its schema compilers, which are larger than itself.
    schemaController: { compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas } },
  });

/** A port for operators. `host`: where it listens. */
export function makeAdminApp(host: string, options: HttpAppOptions = {}): FastifyInstance {
  const app = makeHttpApp({ bodyLimit: 1024, ...options });
  app.addHook('onRequest', async ({ headers }, reply) =>
    isAllowedHost(headers.host, host) ? undefined : reply.code(403).send(HOST_REFUSED),
  );
  return app;
}

export interface HttpPort {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Port 0: any free one. Rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL ...) if it cannot listen. */
export async function listenAt(app: FastifyInstance, host: string, port: number): Promise<HttpPort> {
  await app.listen({ host, port });
  const bound = app.server.address();
  return { host, port: typeof bound === 'object' && bound !== null ? bound.port : port, close: () => app.close() };
}

const withoutSchemas = (): never => {
  throw new Error('routes of this application must not have schemas');
};
