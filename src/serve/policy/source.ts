/**
 * Loads the policy of a server from disk, and again when it changes.
 * **In**: paths. **Out**: each valid policy, put in force by `use`, and a record of all loads. **Fails**: at the start, with a
 * {@link StartError}; later never: errors are logged and recorded, and the last good policy stays in force.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { FoundPlugin, Registry } from '../../adapters/registry.ts';
import { SnapshotError } from '../../core/snapshot/errors.ts';
import { loadPolicyFiles } from '../../core/rules/load.ts';
import { type PolicyFiles, readPolicyFiles } from '../../yaml/policy-files.ts';
import { readValueFile } from '../../yaml/text-files.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { type Finding, findingsCount } from '../../yaml/findings.ts';
import { StartError, type StartErrorCode } from '../errors.ts';
import type { Loads } from './loads.ts';
import type { OwnLog } from '../../log/log.ts';
import type { InTurn } from '../../time/in-turn.ts';
import { oneAtATime } from '../one-at-a-time.ts';
import { type LoadedModules, watchPlugins } from './watch-plugins.ts';
import { watchPolicy } from '../watch-files.ts';
import type { Watching } from '../../files/watch.ts';
import { messageOf } from '../../text/message-of.ts';

/** All texts of a policy, as plain data: each worker loads exactly these. */
export interface PolicyTexts {
  readonly files: PolicyFiles;
  /** The texts behind `$file`, by path. */
  readonly named: ReadonlyMap<string, string>;
  /** The modules of its plugins. */
  readonly plugins: readonly FoundPlugin[];
  readonly isLenient: boolean;
}

/** The policy in force, or the candidate beside it. */
export type PolicyPart = 'policy' | 'candidate';

export interface PolicySourceOptions {
  readonly part: PolicyPart;
  readonly configs: readonly string[];
  readonly registry: Registry;
  readonly log: OwnLog;
  readonly loads: Loads;
  /** Loads run one after the other, also with changes of the policy in force by operators. */
  readonly turns: InTurn;
  readonly onFindings: ((findings: readonly Finding[]) => void) | undefined;
  /** Rejects if the policy cannot be in force; the last one stays. */
  readonly use: (policy: Policy, texts: PolicyTexts) => Promise<void>;
  /** `--lenient`: an unknown provider of Istio denies. */
  readonly isLenient?: boolean | undefined;
  /** Load local plugins again when their files change; in development, since the old modules stay in memory. */
  readonly watchPlugins?: boolean | undefined;
  /** For the log line of a reload. */
  readonly fields?: () => Readonly<Record<string, unknown>>;
}

const WORDS = {
  policy: { refused: 'the policy has errors; the last good one stays in force' },
  candidate: { refused: 'the candidate has errors; the last good one goes on, if there is one' },
} as const;

/** A handler that could not be opened may open later with the same texts; the files that it reads are not watched here. */
const RETRY_MS = 30_000;

export class PolicySource {
  readonly #options: PolicySourceOptions;
  readonly #loads: Loads;
  readonly #paths: readonly string[];
  /** Digest of the texts that were read last, in force or not. */
  #lastDigest = '';
  /** The texts behind `$file`, by path. */
  #named: ReadonlyMap<string, string> = new Map();
  #plugins: LoadedModules = { found: [], sinceMs: 0 };
  #isForced = false;
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;
  readonly #watches: Watching[] = [];
  readonly #next: () => Promise<boolean>;

  constructor(options: PolicySourceOptions) {
    this.#options = options;
    this.#loads = options.loads;
    this.#paths = options.configs.map((path) => resolve(path));
    this.#next = oneAtATime(() => options.turns.run(() => this.#reload()));
  }

  /** Puts the first policy in force. Rejects if it has errors. */
  async start(): Promise<Policy> {
    const files = await readPolicyFiles(this.#paths);
    try {
      return await this.#options.turns.run(() => this.#take(files));
    } catch (error) {
      throw error instanceof StartError
        ? error
        : new StartError(codeOf(messageOf(error)), messageOf(error), { cause: error });
    }
  }

  /** Loads the files, changed or not. True if they are now in force. */
  reload(): Promise<boolean> {
    this.#isForced = true;
    return this.#next();
  }

  /** Reloads on each change, until it is closed. */
  follow(): void {
    if (this.#isClosed) return;
    const { log, watchPlugins: hasPlugins } = this.#options;
    const watch = watchPolicy({
      part: this.#options.part,
      roots: this.#paths,
      files: () => this.#named.keys(),
      log,
      onChange: () => this.#loadChange(),
    });
    this.#watches.push(watch);
    if (hasPlugins !== true) return;
    const onChange = (): void => {
      this.#isForced = true;
      this.#loadChange();
    };
    this.#watches.push(watchPlugins({ loaded: () => this.#plugins, log, onChange }));
  }

  /** Another policy was put in force, which stays until the files change: a load that failed is not tried again. */
  superseded(): void {
    clearTimeout(this.#retry);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    await Promise.all(this.#watches.map((watch) => watch.close()));
  }

  #loadChange(): void {
    this.#next().catch((error: unknown) =>
      this.#options.log.error(`internal error while reloading the ${this.#options.part}`, { error }),
    );
  }

  async #reload(): Promise<boolean> {
    if (this.#isClosed) return false;
    const { part, log, fields } = this.#options;
    const isForced = this.#isForced;
    this.#isForced = false;
    clearTimeout(this.#retry);
    const files = await readPolicyFiles(this.#paths);
    if (!isForced && this.#digest(files) === this.#lastDigest) return this.#loads.refusal === undefined;
    try {
      const policy = await this.#take(files);
      log.info(`${part} loaded`, {
        revision: policy.revision,
        rules: policy.rules.length,
        handlers: policy.handlers.size,
        ...fields?.(),
      });
      return true;
    } catch (error) {
      if (this.#isClosed) return false; // closed meanwhile; the result is not used
      this.#loads.refused(messageOf(error), findingsOf(error));
      log.error(WORDS[part].refused, {
        why: messageOf(error),
        revision: this.#loads.policy?.revision,
      });
      if (error instanceof PolicyError) return false;
      this.#retry = setTimeout(() => {
        this.#lastDigest = '';
        this.#loadChange();
      }, RETRY_MS).unref();
      return false;
    }
  }

  async #take(files: PolicyFiles): Promise<Policy> {
    const { part, registry, onFindings, use, isLenient = false } = this.#options;
    const named = new Map<string, string>();
    const sinceMs = Date.now();
    const { policy, findings, plugins } = await loadPolicyFiles(files, {
      adapters: registry,
      isLenient,
      readText: (file) => {
        named.set(file, ''); // watched even if it is missing
        const text = readValueFile(file);
        named.set(file, text);
        return text;
      },
    });
    if (this.#isClosed) throw new Error('the server is stopping');
    this.#named = named;
    this.#plugins = { found: plugins.found, sinceMs };
    this.#lastDigest = this.#digest(files);
    onFindings?.(findings);
    if (policy === undefined) throw new PolicyError(part, findings);
    const texts = { files, named, plugins: policy.plugins, isLenient };
    await use(policy, texts);
    this.#loads.took(policy, texts, 'files');
    return policy;
  }

  /** Reads the files behind `$file` again. */
  #digest(files: PolicyFiles): string {
    const hash = createHash('sha256');
    const add = (file: string, text: string): void =>
      void hash.update(`${file.length} ${text.length} ${file}`).update(text); // one after the other: together they would be a copy
    for (const { file, text } of files.files) add(file, text);
    for (const {
      position: { file },
      message,
    } of files.findings)
      add(file, message);
    for (const file of this.#named.keys()) add(file, textOf(file));
    return hash.digest('hex');
  }
}

/** Of the message of a SnapshotError, which comes from a worker as text. */
const codeOf = (message: string): StartErrorCode =>
  message.includes(' CORE_RULE_PREPARE ') && !message.includes(' CORE_HANDLER_OPEN ')
    ? 'CLI_RULE_PREPARE'
    : 'CLI_HANDLER_OPEN';

/** Carries its findings, for the page `/policy`. */
class PolicyError extends StartError {
  readonly findings: readonly Finding[];

  constructor(part: PolicyPart, findings: readonly Finding[]) {
    super('CLI_POLICY', `the ${part} has ${findingsCount(findings)}`);
    this.findings = findings;
  }
}

export function findingsOf(error: unknown): readonly Finding[] {
  return error instanceof PolicyError || error instanceof SnapshotError ? error.findings : [];
}

function textOf(file: string): string {
  try {
    return readValueFile(file);
  } catch {
    return '';
  }
}

/** Loads texts that another thread has read and checked. Rejects if they have errors in this thread. */
export async function loadTexts(
  { files, named, plugins, isLenient }: PolicyTexts,
  registry: Registry,
): Promise<Policy> {
  const { policy, findings } = await loadPolicyFiles(files, {
    isLenient,
    adapters: { ...registry, withPlugins: (entries) => registry.withPlugins(entries, plugins) },
    readText: (file) => named.get(file) ?? readValueFile(file),
  });
  if (policy === undefined) throw new PolicyError('policy', findings);
  return policy;
}
