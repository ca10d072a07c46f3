/** Which parts of a cluster fail now, and one log line a minute for each status of the API server, however many parts fail. */
import { ApiError } from '../../kubernetes/index.ts';
import type { OwnLog } from '../../log/log.ts';
import { Throttle } from '../../time/throttle.ts';

export interface ClusterFailuresOptions {
  readonly log: Pick<OwnLog, 'info' | 'warn'>;
  /** The RBAC rules that are needed: shown with 403. */
  readonly grant: string;
  /** Logged when nothing fails any more. */
  readonly recovered: string;
}

/** A namespace that does not exist, which may be so for long. */
const NOT_FOUND = 404;
const MISSING = { periodMs: 3_600_000 };

export class ClusterFailures {
  readonly #options: ClusterFailuresOptions;
  /** Namespaces, and paths of lists. */
  readonly #failing = new Set<string>();
  /** By status; 0: no answer. */
  readonly #throttles = new Map<number, Throttle>();
  #isLogged = false;

  constructor(options: ClusterFailuresOptions) {
    this.#options = options;
  }

  get failing(): readonly string[] {
    return [...this.#failing];
  }

  /** `where`: a namespace, or the path of a list. */
  failed(where: string, message: string, error: unknown): void {
    this.#failing.add(where);
    const status = error instanceof ApiError ? error.status : 0;
    const throttle = this.#throttles.get(status) ?? new Throttle(status === NOT_FOUND ? MISSING : {});
    this.#throttles.set(status, throttle);
    if (throttle.admit() === 0) return;
    this.#isLogged = true;
    const { log, grant } = this.#options;
    log.warn(message, { where, error, failing: this.#failing.size, ...(status === 403 ? { grant } : {}) });
  }

  succeeded(where: string): void {
    if (!this.#failing.delete(where) || this.#failing.size > 0) return;
    const { log, recovered } = this.#options;
    if (this.#isLogged) log.info(recovered, {});
    this.#isLogged = false;
    for (const status of this.#throttles.keys()) if (status !== NOT_FOUND) this.#throttles.delete(status);
  }
}
