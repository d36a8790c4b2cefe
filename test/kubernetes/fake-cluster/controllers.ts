import { createHash, randomUUID } from 'node:crypto';

import { isMap, type Manifest, member } from '../../delivery/support/kustomize.ts';
import { restrictedProblems } from '../../delivery/support/pod-security.ts';
import { isDeleting, labelsOf, merged, nameOf, ownersOf, uidOf } from './objects.ts';
import type { Change, Store } from './store.ts';

const HASH = 'pod-template-hash';

export interface Controllers {
  close(): void;
}

/**
 * What makes pods out of jobs and deployments, keeps as many as there shall be, and takes away what belongs to nothing.
 * `warn`: what a real one would say in an event.
 */
export function runControllers(store: Store, warn: (message: string) => void): Controllers {
  const timers = new Set<NodeJS.Timeout>();

  function after(seconds: number, act: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, seconds * 1000);
    timer.unref();
    timers.add(timer);
  }

  function onJob({ type, object: job }: Change): void {
    if (type !== 'ADDED') return;
    const name = nameOf(job);
    const labels = { 'job-name': name, 'batch.kubernetes.io/job-name': name };
    makePod(job, 'Job', `${name}-${randomUUID().slice(0, 5)}`, labels);
    after(Number(member(job, 'spec', 'activeDeadlineSeconds')), () => fail(name, 'DeadlineExceeded'));
  }

  /** backoffLimit 0: the first failure of its pod is that of the job. */
  function fail(name: string, reason: string): void {
    const job = store.get('jobs', name);
    if (job === undefined || member(job, 'status', 'conditions') !== undefined) return;
    store.patch('jobs', name, { status: { failed: 1, conditions: [{ type: 'Failed', status: 'True', reason }] } });
    after(Number(member(job, 'spec', 'ttlSecondsAfterFinished')), () => store.delete('jobs', name));
  }

  function onDeployment({ type, object }: Change): void {
    if (type !== 'DELETED') reconcile(object);
  }

  /** Strategy Recreate, without the replica sets in between. */
  function reconcile(deployment: Manifest): void {
    const template = member(deployment, 'spec', 'template');
    const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
    const own = store.list('pods').filter((pod) => ownersOf(pod).includes(uidOf(deployment)));
    const present = own.filter((pod) => !isDeleting(pod));
    const old = present.filter((pod) => labelsOf(pod)[HASH] !== hash);
    for (const pod of old) deletePod(pod);
    const current = present.filter((pod) => labelsOf(pod)[HASH] === hash);
    const wanted = Number(member(deployment, 'spec', 'replicas'));
    for (const pod of current.slice(wanted)) deletePod(pod);
    if (old.length > 0 || own.some(isDeleting)) return;
    for (let missing = wanted - current.length; missing > 0; missing -= 1) {
      const name = `${nameOf(deployment)}-${hash}-${randomUUID().slice(0, 5)}`;
      makePod(deployment, 'Deployment', name, { [HASH]: hash });
    }
  }

  function deletePod(pod: Manifest): void {
    store.patch('pods', nameOf(pod), {
      metadata: { deletionTimestamp: new Date().toISOString(), deletionGracePeriodSeconds: 1 },
    });
  }

  /** Admission is where pods are made, as on a real cluster: what they come from is taken as it is. */
  function makePod(owner: Manifest, kind: string, name: string, labels: Readonly<Record<string, string>>): void {
    const template = member(owner, 'spec', 'template');
    const spec = member(template, 'spec');
    if (!isMap(template) || !isMap(spec)) throw new TypeError(`${nameOf(owner)} has no template`);
    const problems = restrictedProblems(spec);
    if (problems.length > 0) {
      warn(`${nameOf(owner)}: violates PodSecurity "restricted:latest": ${problems.join(', ')}`);
      return;
    }
    const metadata = {
      name,
      labels,
      ownerReferences: [{ apiVersion: 'v1', kind, name: nameOf(owner), uid: uidOf(owner), controller: true }],
    };
    const status = { phase: 'Pending' };
    store.create('pods', merged(merged(template, { apiVersion: 'v1', kind: 'Pod', metadata }), { status }));
  }

  function onPod({ type, object: pod }: Change): void {
    const owners = ownersOf(pod);
    const job = store.list('jobs').find((one) => owners.includes(uidOf(one)));
    const isOver = type === 'DELETED' || member(pod, 'status', 'phase') === 'Failed';
    if (job !== undefined && isOver) fail(nameOf(job), 'BackoffLimitExceeded');
    const deployment = store.list('deployments').find((one) => owners.includes(uidOf(one)));
    if (deployment !== undefined && type !== 'ADDED') reconcile(deployment);
  }

  /** propagationPolicy Background. */
  function collect({ type, object }: Change): void {
    if (type !== 'DELETED') return;
    const uid = uidOf(object);
    for (const pod of store.list('pods')) if (ownersOf(pod).includes(uid) && !isDeleting(pod)) deletePod(pod);
    for (const secret of store.list('secrets'))
      if (ownersOf(secret).includes(uid)) store.delete('secrets', nameOf(secret));
  }

  const leave = store.onChange((change) => {
    // As a real one: some time after the change.
    setImmediate(() => {
      if (change.plural === 'jobs') onJob(change);
      if (change.plural === 'deployments') onDeployment(change);
      if (change.plural === 'pods') onPod(change);
      collect(change);
    });
  });
  return {
    close: () => {
      leave();
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
