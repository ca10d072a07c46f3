/**
 * Where limits come from: files that are looked at, or a control plane that is followed.
 * **In**: settings. **Out**: each state of the world that is right, put in force; `domains` is the last. **Fails**: never; what is
 * wrong is said once and counted, and what was in force stays.
 */
import { findingText, type Finding, type Severity } from '../../core/rules/yaml/findings.ts';
import { type ConfigFile, readConfigs } from '../config/read.ts';
import type { Domains } from '../config/tree.ts';
import type { RatelimitErrorCode } from '../config/errors.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { configFolder, findRuntimeFiles, type FoundFile, readFiles } from './runtime-folder.ts';
import type { Settings } from '../settings/settings.ts';
import { watchFiles } from '../../files/watch.ts';
import { messageOf } from '../../text/message-of.ts';

export interface RatelimitLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Follows a control plane until it is closed: each state of the world is taken, or refused with why. */
export type FollowXds = (
  take: (files: readonly ConfigFile[]) => Promise<string | undefined>,
) => Promise<{ close(): Promise<void> }>;

export interface LimitSourceOptions {
  readonly settings: Settings;
  readonly log: RatelimitLog;
  readonly metrics: RatelimitMetrics;
  readonly followXds: FollowXds;
  /** Puts them in force. */
  readonly use: (files: readonly ConfigFile[], domains: Domains) => void | Promise<void>;
}

type Taken = { readonly kind: 'in force' } | { readonly kind: 'refused' | 'not put in force'; readonly why: string };
const IN_FORCE: Taken = { kind: 'in force' };

export function unreadableFile(file: string, message: string, severity: Severity = 'error'): Finding {
  const code: RatelimitErrorCode = 'RATELIMIT_FILE';
  return { severity, position: { file, line: 1, column: 1 }, code, message, excerpt: undefined };
}

/** A change is taken after two polls, so within half a second. */
const LOOK_EVERY_MS = 250;

const marksOf = (found: readonly FoundFile[]): string => found.map(({ file, mark }) => `${file} ${mark}`).join('\n');

export class LimitSource {
  /** In force; `undefined` until the first have come. */
  domains: Domains | undefined;
  readonly #options: LimitSourceOptions;
  /** The files that are in force, or were refused for what they say. */
  #settled: string | undefined;
  /** What was said last of what is not settled: it is not said again each time it is tried. */
  #said = '';
  /** Settles when what was read last is in force, or refused; it never rejects. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LimitSourceOptions) {
    this.#options = options;
  }

  /** Until the first look has been had, or the first state of the world where that is waited for. */
  async follow(stack: AsyncDisposableStack): Promise<void> {
    const { settings, log } = this.#options;
    if (settings.CONFIG_TYPE !== 'GRPC_XDS_SOTW') {
      await this.#look();
      const over = new AbortController();
      const watching = watchFiles({
        stamp: () => this.#stamp(),
        known: this.#settled,
        onChange: async (stamp) => {
          await this.#look();
          return this.#settled === stamp; // else they are tried again
        },
        everyMs: LOOK_EVERY_MS,
        signal: over.signal,
      });
      watching.catch((error: unknown) => log.error('limit files are no longer watched', { error }));
      stack.defer(() => over.abort());
      return;
    }
    const first = Promise.withResolvers<void>();
    const following = await this.#options.followXds(async (files) => {
      const taken = await this.#take(files);
      if (taken.kind === 'in force') first.resolve();
      return taken.kind === 'in force' ? undefined : taken.why;
    });
    stack.defer(() => following.close());
    if (settings.FORCE_START_WITHOUT_INITIAL_CONFIG) return;
    log.info('waits for the control plane', { at: settings.CONFIG_GRPC_XDS_SERVER_URL });
    await first.promise;
  }

  /** Takes the files as they are now, also where they have not changed. True where they are in force afterwards. */
  async reload(): Promise<boolean> {
    if (this.#options.settings.CONFIG_TYPE !== 'FILE') return true; // the control plane says when
    this.#said = '';
    return this.#load(() => false);
  }

  /** Takes the files where they have changed, or could not be put in force. */
  async #look(): Promise<void> {
    await this.#load((marks) => marks === this.#settled);
  }

  async #stamp(): Promise<string> {
    try {
      return marksOf(await this.#found());
    } catch (error) {
      return messageOf(error);
    }
  }

  async #load(isSettled: (marks: string) => boolean): Promise<boolean> {
    const { settings } = this.#options;
    let files: readonly ConfigFile[];
    let marks: string;
    try {
      const found = await this.#found();
      marks = marksOf(found);
      if (isSettled(marks)) return true;
      const read = await readFiles(found);
      files = read.files;
      for (const { file, why } of read.unread)
        this.#options.log.warn(
          findingText(unreadableFile(file, `this file is left out, since it cannot be read: ${why}`, 'warning')),
        );
    } catch (error) {
      const why = messageOf(error);
      if (this.#said !== why)
        this.#refuse([unreadableFile(configFolder(settings), `the files of limits cannot be read: ${why}`)]);
      this.#said = why;
      this.#settled = undefined;
      return false;
    }
    const taken = await this.#take(files);
    if (taken.kind !== 'not put in force') this.#settled = marks;
    return taken.kind === 'in force';
  }

  /** At the start no folder is no files, as in the reference; later it is a failure, since it may be on its way. */
  async #found(): Promise<readonly FoundFile[]> {
    try {
      return await findRuntimeFiles(this.#options.settings);
    } catch (error) {
      if (this.domains !== undefined && this.domains.size > 0) throw error;
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return [];
    }
  }

  #take(files: readonly ConfigFile[]): Promise<Taken> {
    const taken = this.#last.then(() => this.#takeNext(files));
    this.#last = taken.catch(() => undefined);
    return taken.catch((error: unknown) => this.#notPutInForce(error));
  }

  async #takeNext(files: readonly ConfigFile[]): Promise<Taken> {
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
      return this.#notPutInForce(error);
    }
    for (const finding of findings) log.warn(findingText(finding));
    this.#said = '';
    this.domains = domains;
    metrics.service.configLoadSuccess++;
    if (files.length === 0 && settings.CONFIG_TYPE === 'FILE')
      log.warn('there are no files of limits; until one comes each request is OK', { folder: configFolder(settings) });
    log.info('limits loaded', { domains: domains.size, files: files.length });
    return IN_FORCE;
  }

  /** Nothing is wrong with them; they are tried again. */
  #notPutInForce(error: unknown): Taken {
    const { log, metrics } = this.#options;
    const why = messageOf(error);
    if (this.#said !== why) {
      metrics.service.configLoadError++;
      log.error('what counts these limits cannot be opened; what was in force stays, and it is tried again', { why });
    }
    this.#said = why;
    return { kind: 'not put in force', why };
  }

  #refuse(findings: readonly Finding[]): void {
    const { log, metrics } = this.#options;
    metrics.service.configLoadError++;
    for (const finding of findings) log[finding.severity === 'error' ? 'error' : 'warn'](findingText(finding));
    log.error('error loading new configuration from runtime; what was in force stays');
  }
}
