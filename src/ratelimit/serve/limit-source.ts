/**
 * Loads limits from watched files, or from a control plane.
 * **In**: settings. **Out**: every valid set of limits, put in force; `domains` is the last one. **Fails**: never; an invalid set is logged
 * once and counted, and the limits in force stay.
 */
import { findingText, type Finding, type Severity } from '../../yaml/findings.ts';
import { type ConfigFile, readConfigs } from '../config/read.ts';
import type { Domains } from '../config/tree.ts';
import type { RatelimitErrorCode } from '../config/errors.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { configFolder, findRuntimeFiles, type FoundFile, readFiles } from './runtime-folder.ts';
import type { Settings } from '../settings/settings.ts';
import type { Log } from '../../adapters/contract.ts';
import { startWatching } from '../../files/watch.ts';
import { messageOf } from '../../text/message-of.ts';
import { InTurn } from '../../time/in-turn.ts';

/** Subscribes to a control plane until closed. `take` returns the reason if it rejects a state of the world; `undefined`: accepted. */
export type FollowXds = (
  take: (files: readonly ConfigFile[]) => Promise<string | undefined>,
) => Promise<{ close(): Promise<void> }>;

export interface LimitSourceOptions {
  readonly settings: Settings;
  readonly log: Log;
  readonly metrics: RatelimitMetrics;
  readonly followXds: FollowXds;
  /** Puts the limits in force. */
  readonly use: (files: readonly ConfigFile[], domains: Domains) => void | Promise<void>;
}

/** `failed`: the limits are valid, but their stores cannot be opened; loading is retried. */
type Loading = { readonly kind: 'in force' } | { readonly kind: 'refused' | 'failed'; readonly why: string };
const IN_FORCE: Loading = { kind: 'in force' };

export function unreadableFile(file: string, message: string, severity: Severity = 'error'): Finding {
  const code: RatelimitErrorCode = 'RATELIMIT_FILE';
  return { severity, position: { file, line: 1, column: 1 }, code, message, excerpt: undefined };
}

/** The watcher waits for two equal polls, so a change is loaded within half a second. */
const POLL_EVERY_MS = 250;

const stampOf = (found: readonly FoundFile[]): string => found.map(({ file, stamp }) => `${file} ${stamp}`).join('\n');

export class LimitSource {
  /** The limits in force; `undefined` until the first set has been loaded. */
  domains: Domains | undefined;
  readonly #options: LimitSourceOptions;
  /** Stamp of the files that are in force, or were refused because of their content. */
  #settled: string | undefined;
  /** The last logged failure; a retry does not log it again. */
  #logged = '';
  readonly #loads = new InTurn();

  constructor(options: LimitSourceOptions) {
    this.#options = options;
  }

  /** Resolves after the first load; with FORCE_START_WITHOUT_INITIAL_CONFIG it does not wait for the control plane. */
  async follow(stack: AsyncDisposableStack): Promise<void> {
    return this.#options.settings.CONFIG_TYPE === 'GRPC_XDS_SOTW' ? this.#followXds(stack) : this.#followFiles(stack);
  }

  async #followFiles(stack: AsyncDisposableStack): Promise<void> {
    await this.#loadChanged();
    const onChange = async (stamp: string): Promise<boolean> => {
      await this.#loadChanged();
      return this.#settled === stamp; // a failed load is retried
    };
    const watching = startWatching(
      { stamp: () => this.#stamp(), known: this.#settled, onChange, everyMs: POLL_EVERY_MS },
      (error) => this.#options.log.error('limit files are no longer watched', { error }),
    );
    stack.defer(() => void watching.close()); // a load that runs is not awaited
  }

  async #followXds(stack: AsyncDisposableStack): Promise<void> {
    const { settings, log } = this.#options;
    const first = Promise.withResolvers<void>();
    const following = await this.#options.followXds(async (files) => {
      const loading = await this.#take(files);
      if (loading.kind === 'in force') first.resolve();
      return loading.kind === 'in force' ? undefined : loading.why;
    });
    stack.defer(() => following.close());
    if (settings.FORCE_START_WITHOUT_INITIAL_CONFIG) return;
    log.info('waiting for the first limits of the control plane', { at: settings.CONFIG_GRPC_XDS_SERVER_URL });
    await first.promise;
  }

  /** Loads the files, changed or not. True if they are now in force. */
  async reload(): Promise<boolean> {
    if (this.#options.settings.CONFIG_TYPE !== 'FILE') return true; // the control plane pushes changes
    this.#logged = '';
    return this.#load(() => false);
  }

  /** Loads the files if they have changed, or if their last load failed. */
  async #loadChanged(): Promise<void> {
    await this.#load((stamp) => stamp === this.#settled);
  }

  async #stamp(): Promise<string> {
    try {
      return stampOf(await this.#found());
    } catch (error) {
      return messageOf(error);
    }
  }

  async #load(isSettled: (stamp: string) => boolean): Promise<boolean> {
    const { settings } = this.#options;
    let files: readonly ConfigFile[];
    let stamp: string;
    try {
      const found = await this.#found();
      stamp = stampOf(found);
      if (isSettled(stamp)) return true;
      const read = await readFiles(found);
      files = read.files;
      for (const { file, why } of read.unread)
        this.#options.log.warn(
          findingText(unreadableFile(file, `this file cannot be read and is ignored: ${why}`, 'warning')),
        );
    } catch (error) {
      const why = messageOf(error);
      if (this.#logged !== why)
        this.#refuse([unreadableFile(configFolder(settings), `limit files cannot be read: ${why}`)]);
      this.#logged = why;
      this.#settled = undefined;
      return false;
    }
    const { kind } = await this.#take(files);
    if (kind !== 'failed') this.#settled = stamp;
    return kind === 'in force';
  }

  /** At the start a missing folder counts as empty, as in the reference; later it is a failure, since it may be being replaced. */
  async #found(): Promise<readonly FoundFile[]> {
    try {
      return await findRuntimeFiles(this.#options.settings);
    } catch (error) {
      if (this.domains !== undefined && this.domains.size > 0) throw error;
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return [];
    }
  }

  #take(files: readonly ConfigFile[]): Promise<Loading> {
    return this.#loads.run(() => this.#takeNext(files)).catch((error: unknown) => this.#failed(error));
  }

  async #takeNext(files: readonly ConfigFile[]): Promise<Loading> {
    const { settings, log, metrics } = this.#options;
    const { domains, findings } = readConfigs(files, {
      mergeDomains: settings.MERGE_DOMAIN_CONFIG,
      calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT,
    });
    const errors = findings.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) {
      this.#refuse(findings);
      return {
        kind: 'refused',
        why: errors.map(({ position: { file }, message }) => `${file}: ${message}`).join('\n'),
      };
    }
    try {
      await this.#options.use(files, domains);
    } catch (error) {
      return this.#failed(error);
    }
    for (const finding of findings) log.warn(findingText(finding));
    this.#logged = '';
    this.domains = domains;
    metrics.service.configLoadSuccess++;
    if (files.length === 0 && settings.CONFIG_TYPE === 'FILE')
      log.warn('no limit files found; every request is OK until a file is added', { folder: configFolder(settings) });
    log.info('limits loaded', { domains: domains.size, files: files.length });
    return IN_FORCE;
  }

  #failed(error: unknown): Loading {
    const { log, metrics } = this.#options;
    const why = messageOf(error);
    if (this.#logged !== why) {
      metrics.service.configLoadError++;
      log.error('the stores of these limits cannot be opened; the limits in force stay, and loading is retried', {
        why,
      });
    }
    this.#logged = why;
    return { kind: 'failed', why };
  }

  #refuse(findings: readonly Finding[]): void {
    const { log, metrics } = this.#options;
    metrics.service.configLoadError++;
    for (const finding of findings) log[finding.severity === 'error' ? 'error' : 'warn'](findingText(finding));
    log.error('error loading new configuration from runtime; the limits in force stay');
  }
}
