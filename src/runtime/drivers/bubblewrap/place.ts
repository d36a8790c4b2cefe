import type { Limits, Usage } from '../../isolation.ts';

/** User and group that only one sandbox or replica has while it is in use. */
export interface Slot {
  readonly uid: number;
  readonly gid: number;
}

/** What one command is counted and ended by. Nothing of it is to be closed: it goes with its place. */
export interface CommandCgroup {
  /**
   * Files of cgroups into each of which the first shell writes `0` (itself) before anything untrusted exists. Empty where
   * limits are degraded.
   */
  readonly joinPaths: readonly string[];
  /** SIGKILL to all that is in it, as often as it takes; resolves when it is empty. */
  kill(): Promise<void>;
  /** Of this command alone, as far as the kernel tells. */
  usage(): Promise<Usage>;
  /** Processes that the kernel has killed for memory since the command began. */
  oomKills(): Promise<number>;
}

/** Everything that one sandbox, or one replica, owns on this machine. */
export interface Place {
  /** Absent when the service is an ordinary user: then everything runs as that user. */
  readonly slot: Slot | undefined;
  readonly limits: Limits;
  /** Host directory for what the chain needs, such as FIFOs and sockets; its name says nothing. The slot may only pass through. */
  readonly dir: string;
  /** What becomes /workspace: a tmpfs of the slot's own and of the limit's size; a plain directory where nothing can be mounted. */
  readonly workspaceDir: string;
  /** Sizes of the other writable places inside; their pages are in the memory limit of the cgroup too. */
  readonly scratch: ScratchSizes;
  /** Begins a command; one at a time. */
  enter(): Promise<CommandCgroup>;
  /** Whether the workspace has no byte, or no inode, left. */
  isDiskFull(): Promise<boolean>;
  /** Kills what is left and gives everything back. Resolves when nothing is left; safe to call twice. */
  release(): Promise<void>;
}

/** Bytes. */
export interface ScratchSizes {
  readonly tmp: number;
  readonly shm: number;
  readonly run: number;
}

export interface PreparedPlaces {
  /** Directory for what all chains of the service share: everybody may pass through, nobody list. */
  readonly sharedDir: string;
}

export interface Places {
  /** Directories and cgroups of the service itself; what cannot be had is an IsolationUnavailable. Once, however often it is called. */
  prepare(): Promise<PreparedPlaces>;
  /** Throws IsolationUnavailable, also when every slot is taken. */
  open(limits: Limits): Promise<Place>;
  /** Whether memory, processes and disk are limited; known after `prepare`. */
  readonly limits: 'enforced' | 'degraded';
  readonly slots: { readonly used: number; readonly total: number };
  /** Ends and removes what services that live no more have left. */
  sweep(): Promise<void>;
  /** Takes away what `prepare` has made; every place must have been released. */
  close(): Promise<void>;
}
