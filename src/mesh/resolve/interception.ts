/**
 * Interception: rules of the kernel (`sluice iptables`) send the connections of a pod to its Envoy, which finds out whom they were for.
 */
import { isIPv6 } from 'node:net';
import type { Member } from './proxy.ts';

/** Of Istio: connections that the application opens, and those that it gets. Istio 1.0 sends both to the first. */
export const CAPTURE_PORTS = { outbound: 15_001, inbound: 15_006 } as const;

export const isIntercepted = ({ type, interception }: Member): boolean => type === 'sidecar' && interception !== 'NONE';

export const isCapturePort = (port: number): boolean => Object.values<number>(CAPTURE_PORTS).includes(port);

export const wildcardOf = ({ address }: Member): string => (isIPv6(address) ? '::' : '0.0.0.0');
export const loopbackOf = ({ address }: Member): string => (isIPv6(address) ? '::1' : '127.0.0.1');
/** The source of connections to the application at its own address: rules of today's Istio let them pass, so that they do not come back. */
export const innerSourceOf = ({ address }: Member): string => (isIPv6(address) ? '::6' : '127.0.0.6');
