/**
 * The environment, as envoyproxy/ratelimit reads it (src/settings/settings.go), and additional settings (`SLUICE_...`).
 * **In**: environment variables. **Out**: settings. **Fails**: with every invalid variable and its expected form.
 */
import { MAX_WORKERS } from '../../adapters/shared-memory.ts';
import { type Mogrifier, readMogrifiers } from '../metrics/mogrifiers.ts';
import { ANSWERS, COUNTING, REDIS } from './limit-settings.ts';
import { IGNORED_SETTINGS } from './ignored-settings.ts';
import { CONTROL_PLANE, LIMIT_FILES, LISTENERS } from './server-settings.ts';
import { defaultOf, expectedText, type Setting, settingValue } from './setting.ts';
import { METRICS, TRACING } from './telemetry-settings.ts';

/** In the order of docs/ratelimit-settings.md, which is generated from them. */
export const SETTING_GROUPS = [
  ['Listeners, workers and log', LISTENERS],
  ['Files of limits', LIMIT_FILES],
  ['Control plane', CONTROL_PLANE],
  ['Answers', ANSWERS],
  ['Counting', COUNTING],
  ['Redis', REDIS],
  ['Metrics', METRICS],
  ['Tracing', TRACING],
] as const;

type Declared = (typeof SETTING_GROUPS)[number][1][number];
type Value<S extends Setting> = S['kind'] extends 'flag'
  ? boolean
  : S['kind'] extends 'count' | 'ratio' | 'duration'
    ? number
    : string;
export type Settings = { readonly [S in Declared as S['name']]: Value<S> };

export interface ReadSettings {
  readonly settings: Settings;
  /** Rewrites names for DogStatsD; absent if no mogrifier is set, or nothing is sent to DogStatsD. */
  readonly mogrifier: Mogrifier | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

export function readSettings(env: Environment): ReadSettings {
  const problems: string[] = [];
  const values: Record<string, string | number | boolean> = {};
  for (const setting of SETTING_GROUPS.flatMap(([, group]): readonly Setting[] => group)) {
    const { name, kind } = setting;
    const initial = defaultOf(setting);
    const text = env[name];
    const value = text === undefined || text === '' ? initial : settingValue(kind, text);
    if (value === undefined) problems.push(`${name} is "${text}"; expected ${expectedText(kind)}`);
    values[name] = value ?? initial;
  }
  const settings = values as unknown as Settings;
  problems.push(...conflictsOf(settings));
  const warnings = [...IGNORED_SETTINGS]
    .filter(([name]) => (env[name] ?? '') !== '')
    .map(([name, why]) => `${name} has no effect: ${why}`);
  if (settings.USE_DOG_STATSD_MOGRIFIERS === '') return { settings, mogrifier: undefined, problems, warnings };
  if (!settings.USE_DOG_STATSD || settings.DISABLE_STATS) {
    warnings.push('USE_DOG_STATSD_MOGRIFIERS has no effect: nothing is sent to DogStatsD');
    return { settings, mogrifier: undefined, problems, warnings };
  }
  const mogrifiers = readMogrifiers(settings.USE_DOG_STATSD_MOGRIFIERS, env);
  return { settings, mogrifier: mogrifiers.mogrifier, problems: [...problems, ...mogrifiers.problems], warnings };
}

/** Settings that are valid individually, but not together. */
function conflictsOf(settings: Settings): string[] {
  const problems: string[] = [];
  if (settings.GRPC_SERVER_USE_TLS && (settings.GRPC_SERVER_TLS_CERT === '' || settings.GRPC_SERVER_TLS_KEY === ''))
    problems.push('GRPC_SERVER_USE_TLS needs GRPC_SERVER_TLS_CERT and GRPC_SERVER_TLS_KEY');
  if ((settings.REDIS_TLS_CLIENT_CERT === '') !== (settings.REDIS_TLS_CLIENT_KEY === ''))
    problems.push('REDIS_TLS_CLIENT_CERT and REDIS_TLS_CLIENT_KEY must be set together');
  if (settings.SLUICE_WORKERS < 1 || settings.SLUICE_WORKERS > MAX_WORKERS)
    problems.push(`SLUICE_WORKERS is "${settings.SLUICE_WORKERS}"; expected a whole number from 1 to ${MAX_WORKERS}`);
  if (settings.SLUICE_WORKERS > 1 && settings.GRPC_UDS !== '')
    problems.push(
      'SLUICE_WORKERS and GRPC_UDS cannot be combined: workers share a port, but cannot share a unix socket; ' +
        'set GRPC_HOST and GRPC_PORT, or one worker',
    );
  return problems;
}
