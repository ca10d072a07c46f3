/**
 * The agent beside an Envoy: it holds the key of a workload, and gives it to that Envoy alone.
 * **In**: a certificate authority, the path of a unix socket in a folder of its own. **Out**: the secret discovery service at that socket.
 * **Fails**: if the socket cannot be opened; later never: while the authority is away, the last certificate stays.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../adapters/contract.ts';
import { stampOf, startWatching } from '../files/watch.ts';
import { messageOf } from '../text/message-of.ts';
import { listen } from '../transport/index.ts';
import { XdsServer } from '../xds/index.ts';
import { certificatesOf } from './certificate.ts';
import type { WorkloadSecret } from './contract.ts';
import { remoteSigner, type RemoteAuthority } from './remote-signer.ts';
import { WorkloadSecrets } from './sds.ts';
import { TrustedRoots } from './trusted-roots.ts';
import { WorkloadCertificate, type WorkloadCertificateOptions } from './workload-certificate.ts';

export interface AgentOptions
  extends Pick<RemoteAuthority, 'address' | 'tokenFile'>, Pick<WorkloadCertificateOptions, 'ttlMs' | 'backoff'> {
  /** In PEM: the roots of the authority's own certificate; watched. */
  readonly rootsFile: string;
  /** Its folder is made, and is open to this user alone. */
  readonly socketPath: string;
  readonly log: Log;
  /** A renewal that a changed file causes comes at any time until then, so that not all agents ask at once. */
  readonly renewWithinMs?: number;
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
/** 10 000 agents are 333 certificates a second. */
const RENEW_WITHIN_MS = 30_000;

export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { address, socketPath, rootsFile, tokenFile, log, ttlMs, backoff } = options;
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES)
    throw new Error(`the path of a unix socket has at most ${MAX_PATH_BYTES} bytes: ${socketPath}`);
  await mkdir(dirname(socketPath), { recursive: true, mode: OWNER_ONLY });
  await chmod(dirname(socketPath), OWNER_ONLY); // the folder may have been there
  await using stack = new AsyncDisposableStack();
  const roots = new TrustedRoots(rootsFile);
  const certificate: WorkloadCertificate = stack.use(
    new WorkloadCertificate({
      signer: remoteSigner({ address, tokenFile, roots: () => roots.read(), own: () => certificate.secret }),
      log,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(backoff === undefined ? {} : { backoff }),
    }),
  );
  certificate.onChange(() => {
    const { secret } = certificate;
    if (secret === undefined) return;
    roots.useSigned(secret);
    report(secret, log);
  });
  const server = new XdsServer({
    source: new WorkloadSecrets(certificate, roots),
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
  const stamp = (): Promise<string> => stampOf(rootsFile);
  const onChange = (): Promise<void> => rootsChanged(roots, certificate, options);
  const watching = startWatching({ stamp, known: await stamp(), onChange });
  stack.defer(() => watching.close());
  const open = stack.move();
  return { first: certificate.first, close: () => open.disposeAsync() };
}

const OWNER_ONLY = 0o700;

/** Envoy has the roots at once; a certificate is renewed where they do not have its own. */
async function rootsChanged(
  roots: TrustedRoots,
  certificate: WorkloadCertificate,
  { rootsFile, log, renewWithinMs = RENEW_WITHIN_MS }: AgentOptions,
): Promise<void> {
  try {
    await roots.reload();
  } catch (error) {
    // Without a certificate the failure of its request says the same.
    if (roots.isKnown)
      log.warn('the file of roots is unusable; the last good roots stay trusted', { rootsFile, why: messageOf(error) });
    return;
  }
  if (certificate.secret === undefined) return certificate.renew();
  const { isRenewalDue } = roots;
  log.info('the file of roots has changed', { rootsFile, trusted: certificatesOf(roots.pem).length, isRenewalDue });
  if (isRenewalDue) certificate.renew(renewWithinMs);
}

function report({ chainPem }: WorkloadSecret, log: Log): void {
  const { subjectAltName, validTo } = new X509Certificate(chainPem);
  log.info('the workload has a new certificate', { names: subjectAltName, endsAt: new Date(validTo).toISOString() });
}
