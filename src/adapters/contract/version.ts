/** Marks the value of `defineAdapter` with the version of the contract; registered, so that all copies of Sluice know it. */
export const CONTRACT: unique symbol = Symbol.for('sluice.contract');

/** Raised when an adapter made for the last version could fail with this one (docs/plugins.md#versions-of-the-contract). */
export const CONTRACT_VERSION = 1;
