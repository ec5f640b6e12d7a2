/*
 * The first program of a machine, and what systemd runs to start the agent.
 *
 * As process 1 it starts the agent and becomes systemd, so that both start at once,
 * on two processors if there are. The agent keeps out of systemd's way until that is
 * up: it is then that it raises its priority.
 *
 * systemd starts this program, too, for the agent's service. It moves the agent that
 * is there into the service's control group, or starts one if there is none, as in a
 * container. From the file that has the agent's number systemd knows which process
 * the service is about.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char agent[] = "/usr/lib/rkt/agent";
static const char systemd[] = "/usr/lib/systemd/systemd";
static const char pid_dir[] = "/run/rkt", pid_file[] = "/run/rkt/agent.pid";

/* What systemd does for its services, as far as the agent passes it on. */
static const struct rlimit open_files = {1024, 524288};

static int fail(const char *what)
{
	int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (console >= 0)
		dprintf(console, "init: %s: %m\n", what);
	return 1;
}

/* Writes a number to a file of the kernel's, or to a file of ours. */
static int write_number(const char *path, int flags, int number)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	if (fd < 0)
		return -1;
	int written = dprintf(fd, "%d\n", number);
	return close(fd) || written < 0 ? -1 : 0;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -1 : 0;
}

/* Mounts what systemd would mount, and leaves alone what is there. */
static int mount_kernel(void)
{
	static const struct {
		const char *type, *at, *options;
		unsigned long flags;
	} mounts[] = {
		{"proc", "/proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"devtmpfs", "/dev", "mode=755,size=4m,nr_inodes=1m", MS_NOSUID | MS_STRICTATIME},
		{"tmpfs", "/run", "mode=755,size=20%,nr_inodes=800k", MS_NOSUID | MS_NODEV | MS_STRICTATIME},
	};
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].options) && errno != EBUSY)
			return -1;
	return 0;
}

/* Makes this process what systemd makes of a service, with the lowest priority. */
static int prepare_agent(void)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || write_number("/proc/self/oom_score_adj", 0, -1000) || setsid() < 0 ||
	    setrlimit(RLIMIT_NOFILE, &open_files) || setpriority(PRIO_PROCESS, 0, 19))
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	return close_range(3, ~0U, 0);
}

/* Starts the agent and notes its number. */
static int start_agent(const char *how)
{
	char *argv[] = {(char *)agent, (char *)how, NULL}, *environment[] = {NULL};
	if (make_dir(pid_dir))
		return fail(pid_dir);
	pid_t child = fork();
	if (child < 0)
		return fail("fork");
	if (child > 0)
		return write_number(pid_file, O_CREAT | O_TRUNC, child) ? fail(pid_file) : 0;
	if (how && prepare_agent())
		_exit(fail("prepare the agent"));
	execve(agent, argv, environment);
	_exit(fail(agent));
}

static int boot(char *argv[])
{
	if (mount_kernel())
		return fail("mount the kernel's file systems");
	/* The agent watches this directory for systemd's socket. */
	if (make_dir("/run/systemd"))
		return fail("/run/systemd");
	if (start_agent("beside-systemd"))
		return 1;
	argv[0] = (char *)systemd;
	execv(systemd, argv);
	return fail(systemd);
}

/* Moves a process into the control group that this one is in. */
static int adopt(pid_t pid)
{
	char group[256], path[sizeof group + 64];
	FILE *own = fopen("/proc/self/cgroup", "re");
	if (!own || fscanf(own, "0::%255s", group) != 1)
		return fail("/proc/self/cgroup");
	snprintf(path, sizeof path, "/sys/fs/cgroup%s/cgroup.procs", group);
	/* This fails if the agent has ended, and then the service does. */
	return write_number(path, 0, pid) ? fail("adopt the agent") : 0;
}

static int serve(void)
{
	pid_t pid;
	FILE *file = fopen(pid_file, "re");
	if (!file)
		return errno == ENOENT ? start_agent(NULL) : fail(pid_file);
	return fscanf(file, "%d", &pid) == 1 ? adopt(pid) : fail(pid_file);
}

int main(int argc, char *argv[])
{
	(void)argc;
	return getpid() == 1 ? boot(argv) : serve();
}
