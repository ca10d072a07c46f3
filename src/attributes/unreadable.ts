/** How often something of a request could not be read since this thread began, for a metric: the value is another one then, or absent. */
export const unreadable = {
  /** Entries of X-Forwarded-For at `settings.trustedHops` that are no address. */
  forwardedFor: 0,
  /** Headers X-Forwarded-For with fewer entries than `settings.trustedHops` needs. */
  forwardedForShort: 0,
};
