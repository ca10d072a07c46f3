/** `sluice/plugin`: everything that a plugin imports of Sluice. */
export * from './contract.ts';
export { type Turn, type WatchedFile, type WatchedFileOptions, watchedFile } from './watched-file.ts';
export { SharedLock } from './shared-lock.ts';
export { SharedPlaces, type SharedPlacesOptions } from './shared-places.ts';
export { tlsProblem } from '../transport/tls-problem.ts';
export { namedBy } from '../text/server-name.ts';
export { withoutServerName } from '../transport/without-server-name.ts';
export { goDurationMs } from '../time/duration.ts';
export { hostOf } from '../attributes/host.ts';
export { Cidr, Ip, parseCidr, parseIp } from '../attributes/network.ts';
export { IpRanges } from '../attributes/ip-ranges.ts';
