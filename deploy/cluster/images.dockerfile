# The images that the cluster itself needs. They are made by ../docker/image.py only (see images.sh), which never carries
# out a stage "build": images.sh puts in place what is copied from it.

# Holds a pod's network namespace.
FROM scratch AS pause
COPY --from=build /out/pause /pause
USER 65532:65532
ENTRYPOINT ["/pause"]

# A shell and its tools, for tests of the cluster.
FROM scratch AS busybox
COPY --from=build /out/busybox /
CMD ["/bin/sh"]

# kubectl as a pod (made by test.sh only).
FROM scratch AS kubectl
COPY --from=build /out/kubectl /kubectl
USER 65532:65532
ENTRYPOINT ["/kubectl"]
