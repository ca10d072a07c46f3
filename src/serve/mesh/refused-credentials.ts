/**
 * Credentials of gateways that were refused.
 * **In**: proxies, and what each was refused. **Out**: a count, and at most one log line a minute for each identity. **Fails**: never.
 */
import type { MetricFamily } from '../../core/metrics/families.ts';
import type { OwnLog } from '../../log/log.ts';
import type { RefusedCredential } from '../../mesh/resolve/gateways.ts';
import { Throttle } from '../../time/throttle.ts';
import type { Proxy } from '../../xds/index.ts';
import { counter } from '../../core/metrics/family.ts';

/** Then all are forgotten: an identity may get another line within the minute. */
const MAX_IDENTITIES = 1000;
/** Credentials in one line. */
const MAX_NAMED = 5;

export class RefusedCredentials {
  readonly #log: Pick<OwnLog, 'warn'>;
  /** By identity. */
  readonly #lines = new Map<string, Throttle>();
  #total = 0;

  constructor(log: Pick<OwnLog, 'warn'>) {
    this.#log = log;
  }

  readonly family: MetricFamily = counter(
    'sluice_mesh_credentials_refused_total',
    'Credentials (Secrets) that were refused to a proxy whose workloads no Gateway or DestinationRule selects that names them.',
    () => this.#total,
  );

  take({ id, identity = 'none' }: Pick<Proxy, 'id' | 'identity'>, refused: readonly RefusedCredential[]): void {
    this.#total += refused.length;
    if (this.#lines.size >= MAX_IDENTITIES) this.#lines.clear();
    const line = this.#lines.get(identity) ?? new Throttle();
    this.#lines.set(identity, line);
    const refusals = line.admit();
    const [first] = refused;
    if (refusals === 0 || first === undefined) return;
    const { why, add } = first;
    this.#log.warn('a gateway may not have a credential that its Gateways name; its server is left out', {
      identity,
      proxy: id,
      credentials: refused.slice(0, MAX_NAMED).map(({ credential }) => credential),
      why,
      add,
      refusals,
    });
  }
}
