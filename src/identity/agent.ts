/**
 * The agent beside an Envoy: it holds the key of a workload, and gives it to that Envoy alone.
 * **In**: a certificate authority, the path of a unix socket in a folder of its own. **Out**: the secret discovery service at that socket.
 * **Fails**: if the socket cannot be opened; later never: while the authority is away, the last certificate stays.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../adapters/contract.ts';
import { stampOf, watchFiles } from '../files/watch.ts';
import { messageOf } from '../text/message-of.ts';
import { listen } from '../transport/index.ts';
import { XdsServer } from '../xds/index.ts';
import type { WorkloadSecret } from './contract.ts';
import { remoteSigner, type RemoteAuthority } from './remote-signer.ts';
import { WorkloadSecrets } from './sds.ts';
import { WorkloadCertificate, type WorkloadCertificateOptions } from './workload-certificate.ts';

export interface AgentOptions
  extends Omit<RemoteAuthority, 'own'>, Pick<WorkloadCertificateOptions, 'ttlMs' | 'backoff'> {
  /** Its folder is made, and is open to this user alone. */
  readonly socketPath: string;
  readonly log: Log;
}

export interface Agent {
  /** Rejects if the agent is closed before. */
  readonly first: Promise<WorkloadSecret>;
  close(): Promise<void>;
}

/** Limit of the kernel for the path of a unix socket. */
const MAX_PATH_BYTES = 107;
const GRACE_MS = 1000;
const MAX_REQUEST_BYTES = 1 << 20;

export async function startAgent({ socketPath, log, ttlMs, backoff, ...authority }: AgentOptions): Promise<Agent> {
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES)
    throw new Error(`the path of a unix socket has at most ${MAX_PATH_BYTES} bytes: ${socketPath}`);
  await mkdir(dirname(socketPath), { recursive: true, mode: OWNER_ONLY });
  await chmod(dirname(socketPath), OWNER_ONLY); // the folder may have been there
  await using stack = new AsyncDisposableStack();
  const certificate: WorkloadCertificate = stack.use(
    new WorkloadCertificate({
      signer: remoteSigner({ ...authority, own: () => certificate.secret }),
      log,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(backoff === undefined ? {} : { backoff }),
    }),
  );
  certificate.onChange(() => report(certificate.secret, log));
  const server = new XdsServer({
    source: new WorkloadSecrets(certificate),
    onRefused: (proxy, { why }) =>
      log.error('Envoy refuses its certificate, and keeps the last', { proxy: proxy.id, why }),
    onFault: (_proxy, error) =>
      log.error('internal error while giving Envoy its certificate', { error: messageOf(error) }),
  });
  const transport = await listen(server.methods, {
    host: `unix:${socketPath}`,
    port: 0,
    maxMessageBytes: MAX_REQUEST_BYTES,
    onFault: (path, error) => log.error('internal error while handling a call', { path, error: messageOf(error) }),
  });
  stack.defer(() => transport.drain(GRACE_MS));
  const watching = new AbortController();
  stack.defer(() => watching.abort());
  const stamp = (): Promise<string> => stampOf(authority.rootsFile);
  const known = await stamp();
  void watchFiles({ stamp, known, onChange: () => certificate.renew(), signal: watching.signal });
  const open = stack.move();
  return { first: certificate.first, close: () => open.disposeAsync() };
}

const OWNER_ONLY = 0o700;

function report(secret: WorkloadSecret | undefined, log: Log): void {
  if (secret === undefined) return;
  const { subjectAltName, validTo } = new X509Certificate(secret.chainPem);
  log.info('the workload has a new certificate', { names: subjectAltName, endsAt: new Date(validTo).toISOString() });
}
