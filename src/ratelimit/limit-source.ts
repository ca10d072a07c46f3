/**
 * Where limits come from: files that are looked at, or a control plane that is followed.
 * **In**: settings. **Out**: each state of the world that is right, put in force; `domains` is the last. **Fails**: never; what is
 * wrong is said once and counted, and what was in force stays.
 */
import type { Finding } from '../core/rules/policy.ts';
import { findingText } from '../core/rules/findings.ts';
import { type ConfigFile, readConfigs } from './config/read.ts';
import type { Domains } from './config/tree.ts';
import type { RatelimitErrorCode } from './errors.ts';
import type { RatelimitMetrics } from './metrics.ts';
import { configFolder, findRuntimeFiles, readFiles } from './runtime-folder.ts';
import type { Settings } from './settings.ts';

export interface RatelimitLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Follows a control plane until it is closed: each state of the world is taken, or refused with why. */
export type FollowXds = (take: (files: readonly ConfigFile[]) => Promise<string | undefined>) => Promise<{ close(): Promise<void> }>;

export interface LimitSourceOptions {
  readonly settings: Settings;
  readonly log: RatelimitLog;
  readonly metrics: RatelimitMetrics;
  readonly followXds: FollowXds;
  /** Puts them in force. */
  readonly use: (files: readonly ConfigFile[], domains: Domains) => void | Promise<void>;
}

/** Links are swapped and files written in place, on file systems that tell of neither: so they are looked at. */
const LOOK_EVERY_MS = 500;

export class LimitSource {
  /** In force; `undefined` until the first have come. */
  domains: Domains | undefined;
  readonly #options: LimitSourceOptions;
  #seen = '';
  /** Settles when what was read last is in force, or refused. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LimitSourceOptions) {
    this.#options = options;
  }

  /** Until the first look has been had, or the first state of the world where that is waited for. */
  async follow(stack: AsyncDisposableStack): Promise<void> {
    const { settings, log } = this.#options;
    if (settings.CONFIG_TYPE !== 'GRPC_XDS_SOTW') {
      await this.reload();
      const looking = setInterval(() => { void this.reload(); }, LOOK_EVERY_MS);
      stack.defer(() => clearInterval(looking));
      return;
    }
    const first = Promise.withResolvers<void>();
    const following = await this.#options.followXds(async (files) => {
      const refusal = await this.#take(files);
      if (refusal === undefined) first.resolve();
      return refusal;
    });
    stack.defer(() => following.close());
    if (settings.FORCE_START_WITHOUT_INITIAL_CONFIG) return;
    log.info('waits for the control plane', { at: settings.CONFIG_GRPC_XDS_SERVER_URL });
    await first.promise;
  }

  /** True where the files as they are now are in force afterwards. */
  async reload(): Promise<boolean> {
    const { settings } = this.#options;
    if (settings.CONFIG_TYPE !== 'FILE') return true; // the control plane says when
    let files: readonly ConfigFile[];
    try {
      const found = await findRuntimeFiles(settings);
      const marks = found.map(({ file, mark }) => `${file} ${mark}`).join('\n');
      if (marks === this.#seen) return true;
      files = await readFiles(found);
      this.#seen = marks;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const code: RatelimitErrorCode = 'RATELIMIT_FILE';
      if (this.#seen !== why) this.#refuse([{ severity: 'error', position: { file: configFolder(settings), line: 1, column: 1 }, code, message: `the files of limits cannot be read: ${why}`, excerpt: undefined }]);
      this.#seen = why;
      return false;
    }
    return await this.#take(files) === undefined;
  }

  /** Why they are refused; `undefined`: they are in force. */
  #take(files: readonly ConfigFile[]): Promise<string | undefined> {
    const taken = this.#last.then(() => this.#takeNext(files));
    this.#last = taken;
    return taken;
  }

  async #takeNext(files: readonly ConfigFile[]): Promise<string | undefined> {
    const { settings, log, metrics } = this.#options;
    const { domains, findings } = readConfigs(files, { mergeDomains: settings.MERGE_DOMAIN_CONFIG, quotaMode: settings.QUOTA_MODE });
    const errors = findings.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) {
      this.#refuse(findings);
      return errors.map(({ position: { file }, message }) => `${file}: ${message}`).join('\n');
    }
    for (const finding of findings) log.warn(findingText(finding));
    try {
      await this.#options.use(files, domains);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      metrics.service.configLoadError++;
      log.error('what counts these limits cannot be opened; what was in force stays', { why });
      return why;
    }
    this.domains = domains;
    metrics.service.configLoadSuccess++;
    log.info('limits loaded', { domains: domains.size, files: files.length });
    return undefined;
  }

  #refuse(findings: readonly Finding[]): void {
    const { log, metrics } = this.#options;
    metrics.service.configLoadError++;
    for (const finding of findings) log.error(findingText(finding));
    log.error('error loading new configuration from runtime; what was in force stays');
  }
}
