/** Names of resources, as Pilot makes them. */

export const outboundCluster = (port: number, subset: string | undefined, host: string): string =>
  `outbound|${port}|${subset ?? ''}|${host}`;
/** By the port of the application; with a host by the port of its service, as in 1.0.2. */
export const inboundCluster = (port: number, host = ''): string => `inbound|${port}||${host}`;
export const BLACK_HOLE = 'BlackHoleCluster';
export const PASSTHROUGH = 'PassthroughCluster';
export const INBOUND_PASSTHROUGH = 'InboundPassthroughCluster';
export const VIRTUAL_OUTBOUND = 'virtualOutbound';
export const VIRTUAL_INBOUND = 'virtualInbound';

export const listenerName = (address: string, port: number): string => `${address}_${port}`;
export const sidecarRoutes = (port: number): string => String(port);
/** `bind`: the address of the listener, if the server names one: several may have one port. */
export const gatewayRoutes = (port: number, bind: string | undefined): string => `http.${port}${suffixOf(bind)}`;
export const tlsGatewayRoutes = (
  port: number,
  portName: string,
  gateway: string,
  namespace: string,
  bind: string | undefined,
): string => `https.${port}.${portName}.${gateway}.${namespace}${suffixOf(bind)}`;
const suffixOf = (bind: string | undefined): string => (bind === undefined ? '' : `.${bind}`);
