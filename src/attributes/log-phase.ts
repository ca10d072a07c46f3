/** What an entry of the access log tells about its request or connection. `try`: one try at an upstream has ended. */
export type LogPhase = 'start' | 'established' | 'periodic' | 'try' | 'end';

/** By Envoy's types (envoy.data.accesslog.v3.AccessLogType). */
const PHASES: Readonly<Record<string, LogPhase>> = {
  TcpConnectionStart: 'start',
  DownstreamStart: 'start',
  TcpUpstreamConnected: 'established',
  UpstreamPoolReady: 'established',
  DownstreamTunnelSuccessfullyEstablished: 'established',
  UdpTunnelUpstreamConnected: 'established',
  TcpPeriodic: 'periodic',
  DownstreamPeriodic: 'periodic',
  UpstreamPeriodic: 'periodic',
  UdpPeriodic: 'periodic',
  UpstreamEnd: 'try',
  TcpConnectionEnd: 'end',
  DownstreamEnd: 'end',
  UdpSessionEnd: 'end',
};

/** A type that is not known is taken for an interim one, so that nothing counts it as an end. */
export const phaseOfType = (type: string): LogPhase =>
  Object.hasOwn(PHASES, type) ? (PHASES[type] as LogPhase) : 'periodic';
