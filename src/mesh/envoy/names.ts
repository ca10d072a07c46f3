/** Names of resources, as Pilot makes them. */

export const outboundCluster = (port: number, subset: string | undefined, host: string): string =>
  `outbound|${port}|${subset ?? ''}|${host}`;
export const inboundCluster = (port: number): string => `inbound|${port}||`;
export const BLACK_HOLE = 'BlackHoleCluster';
export const PASSTHROUGH = 'PassthroughCluster';

export const listenerName = (address: string, port: number): string => `${address}_${port}`;
export const sidecarRoutes = (port: number): string => String(port);
export const gatewayRoutes = (port: number): string => `http.${port}`;
export const tlsGatewayRoutes = (port: number, portName: string, gateway: string, namespace: string): string =>
  `https.${port}.${portName}.${gateway}.${namespace}`;
