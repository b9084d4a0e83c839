# The personalities that are built, each as one kernel image: folders of guest/personality. The first is the default.
set(guest_personalities lunaix minix freebsd)
