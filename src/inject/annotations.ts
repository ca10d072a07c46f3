/**
 * Annotations that configure the injection of one pod.
 * **In**: the annotations of a pod. **Out**: nothing, if they are good.
 * **Fails**: with an InjectError in the words of Istio, at the first that is not.
 */
import { isIP } from 'node:net';
import type { Style } from './contract.ts';
import { InjectError } from './errors.ts';

/** Throws an Error with what is wrong. */
type Check = (value: string) => void;

const TRAFFIC = 'traffic.sidecar.istio.io';
const SIDECAR = 'sidecar.istio.io';
const MODE = `${SIDECAR}/interceptionMode`;
export const REWRITE_PROBES = `${SIDECAR}/rewriteAppHTTPProbers`;
/** The port of the agent for probes. */
export const STATUS_PORT = `status.${SIDECAR}/port`;

/** In the order in which Istio looks at them. */
const CHECKS_BY_STYLE: Readonly<Record<Style, readonly (readonly [annotation: string, check: Check])[]>> = (() => {
  const traffic = [
    [`${TRAFFIC}/includeOutboundIPRanges`, orAll(cidrCheck('includeIPRanges'))],
    [`${TRAFFIC}/excludeOutboundIPRanges`, cidrCheck('excludeIPRanges')],
    [`${TRAFFIC}/includeInboundPorts`, orAll(portCheck('includeInboundPorts'))],
    [`${TRAFFIC}/excludeInboundPorts`, portCheck('excludeInboundPorts')],
  ] as const;
  return {
    '1.0': [[MODE, modeCheck('REDIRECT', 'TPROXY')], ...traffic],
    today: [
      [MODE, modeCheck('REDIRECT', 'TPROXY', 'NONE')],
      ...traffic,
      [`${TRAFFIC}/includeOutboundPorts`, orAll(portCheck('includeOutboundPorts'))],
      [`${TRAFFIC}/excludeOutboundPorts`, portCheck('excludeOutboundPorts')],
      ...['proxyCPU', 'proxyMemory', 'proxyCPULimit', 'proxyMemoryLimit'].map(
        (name) => [`${SIDECAR}/${name}`, quantityCheck] as const,
      ),
      [`${SIDECAR}/nativeSidecar`, booleanCheck],
      [REWRITE_PROBES, goBooleanCheck],
      [STATUS_PORT, singleCheck(portCheck('statusPort'))],
    ],
  };
})();

export function checkAnnotations(annotations: Readonly<Record<string, string>>, style: Style): void {
  for (const [name, check] of CHECKS_BY_STYLE[style]) {
    const value = annotations[name];
    if (value === undefined) continue;
    try {
      check(value);
    } catch (error) {
      throw new InjectError(
        'INJECT_ANNOTATION',
        `injection failed. Invalid value for annotation ${name}: ${value}. Error: ${(error as Error).message}`,
        name,
      );
    }
  }
}

/** Of the flags --includeIPRanges etc., whose values are those of the annotations. */
export const TRAFFIC_FLAGS: Readonly<
  Record<'includeIPRanges' | 'excludeIPRanges' | 'includeInboundPorts' | 'excludeInboundPorts', Check>
> = {
  includeIPRanges: orAll(cidrCheck('includeIPRanges')),
  excludeIPRanges: cidrCheck('excludeIPRanges'),
  includeInboundPorts: orAll(portCheck('includeInboundPorts')),
  excludeInboundPorts: portCheck('excludeInboundPorts'),
};

function modeCheck(...modes: readonly string[]): Check {
  return (mode) => {
    if (!modes.includes(mode)) throw new Error(`interceptionMode invalid: ${mode}`);
  };
}

function orAll(check: Check): Check {
  return (value) => {
    if (value !== '*') check(value);
  };
}

function cidrCheck(what: string): Check {
  return eachOf((cidr) => {
    const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(cidr) ?? [];
    const version = isIP(address);
    if (version === 0 || Number(length) > (version === 4 ? 32 : 128))
      throw new Error(`${what} invalid: failed parsing cidr '${cidr}': invalid CIDR address: ${cidr}`);
  });
}

/** Istio 1.0 reads signed numbers of 16 bits, so that it refuses ports from 32768, and takes negative ones. */
function portCheck(what: string): Check {
  return eachOf((port) => {
    if (/^\d+$/.test(port) && Number(port) <= 65535) return;
    const why = /^[+-]?\d+$/.test(port) ? 'value out of range' : 'invalid syntax';
    throw new Error(`${what} invalid: failed parsing port '${port}': strconv.ParseInt: parsing "${port}": ${why}`);
  });
}

function eachOf(check: Check): Check {
  return (list) => {
    if (list !== '') list.split(',').forEach(check);
  };
}

/** Kubernetes' quantities: `100m`, `0.5`, `128Mi`, `1e3`. */
function quantityCheck(value: string): void {
  if (!/^\d+(?:\.\d*)?(?:[eE][+-]?\d+|[EPTGMK]i|[numkMGTPE])?$/.test(value))
    throw new Error(`"${value}" is not a quantity, such as 100m or 128Mi`);
}

function singleCheck(check: Check): Check {
  return (value) => {
    if (value === '' || value.includes(',')) throw new Error(`"${value}" is not one port`);
    check(value);
  };
}

/** By the words of Go; `undefined` for all others. */
export function goBoolean(text: string): boolean | undefined {
  if (['true', '1', 't', 'T', 'TRUE', 'True'].includes(text)) return true;
  return ['false', '0', 'f', 'F', 'FALSE', 'False'].includes(text) ? false : undefined;
}

function goBooleanCheck(value: string): void {
  if (goBoolean(value) === undefined) throw new Error(`"${value}" is not true or false`);
}

function booleanCheck(value: string): void {
  if (value !== 'true' && value !== 'false') throw new Error(`"${value}" is not true or false`);
}
