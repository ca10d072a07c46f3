import { type LogPhase, phaseOfType } from '../../attributes/log-phase.ts';
import { AccessLogType, type AccessLogCommon } from '../../../gen/envoy/data/accesslog/v3/accesslog_pb.ts';

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(AccessLogType).map(([name, number]): [number, string] => [number, name]),
);

/** In Envoy's words; `undefined` from older Envoys, which do not send it. */
export function logTypeName(common: AccessLogCommon | undefined): string | undefined {
  const type = common?.accessLogType ?? AccessLogType.NotSet;
  return type === AccessLogType.NotSet ? undefined : (NAMES.get(type) ?? String(type));
}

export function phaseOf(common: AccessLogCommon | undefined): LogPhase {
  const type = logTypeName(common);
  if (type !== undefined) return phaseOfType(type);
  return common?.intermediateLogEntry === true ? 'periodic' : 'end';
}

/** By type; asked for each entry. */
const IS_INTERIM: readonly boolean[] = Array.from({ length: Math.max(...NAMES.keys()) + 1 }, (_, type) => {
  const phase = phaseOfType(NAMES.get(type) ?? '');
  return phase !== 'end' && phase !== 'try';
});

/** Whether the request or connection has not ended (docs/rules.md, section 4). A type that is not known is taken for an interim one. */
export function isInterim(common: AccessLogCommon | undefined): boolean {
  const type = common?.accessLogType ?? AccessLogType.NotSet;
  return type === AccessLogType.NotSet ? common?.intermediateLogEntry === true : (IS_INTERIM[type] ?? true);
}
