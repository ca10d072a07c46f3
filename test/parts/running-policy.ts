/** An engine in the process of the test, with a policy given as text and the handlers that `sluice serve` would open. */
import { onTestFinished } from 'vitest';
import { EscapedErrors } from '../../src/adapters/escaped-errors.ts';
import { createRegistry, type Registry } from '../../src/adapters/registry.ts';
import type { LogLine } from '../../src/adapters/testing/index.ts';
import type { Wire } from '../../src/attributes/bag.ts';
import type { CallKind } from '../../src/attributes/carrier.ts';
import { plainWire } from '../../src/attributes/plain-wire.ts';
import { type Caller, NO_CALLER, type Verdict } from '../../src/core/call.ts';
import { createEngine } from '../../src/core/engine.ts';
import { loadPolicyText } from '../../src/core/rules/load.ts';
import type { Policy } from '../../src/core/rules/policy.ts';
import { findingText } from '../../src/yaml/findings.ts';
import type { RunningEngine } from '../../src/core/running-engine.ts';
import type { OwnLog } from '../../src/log/log.ts';
import { handlerOpener } from '../../src/serve/policy/handler-opener.ts';

export interface RunningPolicy {
  readonly engine: RunningEngine;
  readonly logged: LogLine[];
  readonly escaped: EscapedErrors;
  readonly load: (text: string) => Promise<Policy>;
  readonly check: (attributes: Readonly<Record<string, unknown>>, caller?: Caller) => Promise<Verdict>;
  readonly wire: (attributes: Readonly<Record<string, unknown>>, call: CallKind) => Wire;
}

/** Drained when the test has finished. `adapters`: the built-in ones; those of `plugins:` need not be among them. */
export async function runPolicy(
  text: string,
  { adapters = createRegistry([]), closeWithinMs = 300 }: { adapters?: Registry; closeWithinMs?: number } = {},
): Promise<RunningPolicy> {
  const logged: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (message: string, fields = {}): void => {
      logged.push({ level, message, fields });
    };
  const log: OwnLog = {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    with: () => log,
  };
  const escaped = new EscapedErrors(log);
  const engine = createEngine({
    openHandlers: handlerOpener(log, undefined, closeWithinMs, escaped).openHandlers,
    log,
    graceMs: 200,
  });
  onTestFinished(() => engine.drain());
  let policy: Policy | undefined;
  const load = async (source: string): Promise<Policy> => {
    const loaded = await loadPolicyText(new Map([['p.yaml', source]]), { adapters, env: {} });
    if (loaded.policy === undefined) throw new Error(loaded.findings.map(findingText).join('\n'));
    return (policy = loaded.policy);
  };
  await engine.use(await load(text));
  const wire = (attributes: Readonly<Record<string, unknown>>, call: CallKind): Wire => {
    if (policy === undefined) throw new Error('no policy');
    return plainWire(policy.attributes, attributes, {}, call);
  };
  return {
    engine,
    logged,
    escaped,
    load,
    wire,
    check: async (attributes, caller = NO_CALLER) => engine.check('http', wire(attributes, 'http'), caller),
  };
}
