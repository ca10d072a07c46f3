/** `sluice/plugin`: everything that a plugin imports of Sluice. */
export * from './contract.ts';
export { type WatchedFile, type WatchedFileOptions, watchedFile } from './watched-file.ts';
export { SharedLock } from './shared-lock.ts';
export { SharedPlaces, type SharedPlacesOptions } from './shared-places.ts';
export { tlsProblem } from '../transport/tls-problem.ts';
export { namedBy } from '../text/server-name.ts';
export { withoutServerName } from '../transport/without-server-name.ts';
export { type Turn, turns } from '../time/turns.ts';
export { sortedInSlices } from '../time/sorted-in-slices.ts';
export { goDurationMs } from '../time/duration.ts';
export { hostOf } from '../attributes/host.ts';
export { Cidr, Ip, parseCidr, parseIp } from '../attributes/network.ts';
export { IpRanges } from '../attributes/ip-ranges.ts';
