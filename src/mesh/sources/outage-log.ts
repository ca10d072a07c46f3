/**
 * One log line a minute for each cause why an API server cannot be listed or watched, however many resources it has: all fail together.
 * **In**: log lines of list-watches, which name their path. **Out**: fewer lines; which resources fail now, and why. **Fails**: never.
 */
import { ApiError, type ListWatchOptions, SilentServer } from '../../kubernetes/index.ts';
import { messageOf } from '../../text/message-of.ts';
import { Throttle } from '../../time/throttle.ts';

export type Log = ListWatchOptions['log'];

const MAX_CAUSES = 100;

export class OutageLog {
  readonly #log: Log;
  readonly #isSynced: () => boolean;
  readonly #failing = new Set<string>();
  readonly #throttles = new Map<string, Throttle>();

  constructor(log: Log, isSynced: () => boolean) {
    this.#log = log;
    this.#isSynced = isSynced;
  }

  /** For the list-watch of one resource. */
  of(path: string): Log {
    return {
      warn: (message, fields) => {
        if (fields['error'] === undefined) this.#log.warn(message, fields);
        else this.failed(path, fields['error'], fields);
      },
      info: () => this.answers(path),
    };
  }

  failed(path: string, error: unknown, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#failing.add(path);
    if (!this.#isNew(causeOf(error))) return;
    this.#log.warn(
      this.#isSynced()
        ? 'the Kubernetes API cannot be watched; the last known mesh stays in force'
        : 'the Kubernetes API cannot be listed; proxies are not served until it is',
      {
        ...fields,
        path,
        error,
        ...(error instanceof ApiError && error.status === 403 ? { grant: rbacRule(path) } : {}),
      },
    );
  }

  answers(path: string): void {
    if (!this.#failing.delete(path) || this.#failing.size > 0) return;
    this.#log.info('the Kubernetes API answers again', {});
    this.#throttles.clear();
  }

  /** It is not watched any more. */
  stopped(path: string): void {
    this.#failing.delete(path);
  }

  #isNew(cause: string): boolean {
    if (this.#throttles.size >= MAX_CAUSES) this.#throttles.clear();
    const throttle = this.#throttles.get(cause) ?? new Throttle();
    this.#throttles.set(cause, throttle);
    return throttle.admit() > 0;
  }
}

/** A server that is away refuses, resets, or is silent: one cause. */
function causeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  const isConnection = error instanceof SilentServer || (typeof code === 'string' && /^E[A-Z]+$/.test(code));
  return isConnection ? 'connection' : messageOf(error);
}

/** Of a ClusterRole, or of a Role if the path has a namespace; of one object if it ends with a name. */
export function rbacRule(path: string): string {
  const [, group = '', resource = '', name] =
    /^\/(?:api|apis\/([^/]+))\/[^/]+\/(?:namespaces\/[^/]+\/)?([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  return JSON.stringify({
    apiGroups: [group],
    resources: [resource],
    ...(name === undefined ? {} : { resourceNames: [name] }),
    verbs: ['get', 'list', 'watch'],
  });
}
