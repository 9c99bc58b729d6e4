rule composites:
    """Turn the scenes of a season into an evenly spaced series, all sites of the region."""
    input:
        scenes="<results>/imagery/{region}/{season}/{sensor}.zarr",
        catalogue="<results>/imagery/{region}/{season}/{sensor}.parquet",
        queries=window_queries,
        parcels=window_parcels,
    output:
        directory("<results>/composites/{series}/{region}/{season}/{sensor}.zarr"),
    log:
        "<logs>/composites/{series}/{region}/{season}/{sensor}.log",
    benchmark:
        "<benchmarks>/composites/{series}/{region}/{season}/{sensor}.tsv"
    wildcard_constraints:
        region=composited_by("local"),
    conda:
        "../envs/geo.yaml"
    threads: 4  # blocks of pixels are independent; more threads than memory channels only wait
    resources:
        mem=lambda wildcards, attempt: f"{4 * attempt} GiB",
        runtime="1h",
    params:
        window=lambda wildcards, input: " ".join(
            [options("--queries", input.queries), options("--parcels", input.parcels)]
        ),
        settings=series_settings,
        season=entry("seasons"),
        code=room_code("composites", "regions", "labels"),
    shell:
        r"""
        python -m cropflow composites \
            --scenes {input.scenes:q} --catalogue {input.catalogue:q} {params.window} \
            --settings {params.settings:q} --season {params.season:q} --workers {threads} \
            --output {output:q} 2>{log:q}
        """


rule composites_fetch:
    """Let Earth Engine composite the scenes found, and fetch the composites instead of the scenes."""
    input:
        found="<results>/imagery/{region}/{season}/found/{sensor}.parquet",
        sites="<results>/regions/{region}/sites.parquet",
        # Only that it is there: a plan made again for another budget or pace must not fetch a season again.
        plan=ancient("<results>/imagery/{region}/{season}/plan.json"),
    output:
        composites=directory("<results>/composites/{series}/{region}/{season}/{sensor}.zarr"),
        catalogue="<results>/composites/{series}/{region}/{season}/{sensor}.parquet",
    log:
        "<logs>/composites/{series}/{region}/{season}/{sensor}.fetch.log",
    benchmark:
        "<benchmarks>/composites/{series}/{region}/{season}/{sensor}.fetch.tsv"
    wildcard_constraints:
        sensor="sentinel2",
        region=composited_by("server"),
    conda:
        "../envs/geo.yaml"
    threads: 1  # a fetch waits for the network: its requests in flight take no core
    resources:
        # Each request in flight is an answer of 48 MB, its composites and what is filled of them.
        mem=lambda wildcards, attempt: (f"{attempt * (2 + requests_at_once(wildcards) // 4)} GiB"),
        runtime="4h",
        service=asks_service,
        at_once=requests_at_once,
        per_second=requests_per_second,
    # No hash of the code: an upgrade must not fetch a country again.
    params:
        imagery=sensor_settings,
        settings=entry("series"),
        season=entry("seasons"),
    shell:
        r"""
        python -m cropflow composites fetch \
            --found {input.found:q} --sites {input.sites:q} --imagery {params.imagery:q} \
            --settings {params.settings:q} --season {params.season:q} \
            --requests-at-once {resources.at_once} --requests-per-second {resources.per_second} \
            --work results/.work/composites/{wildcards.series}/{wildcards.region}/{wildcards.season}/{wildcards.sensor} \
            --catalogue {output.catalogue:q} --output {output.composites:q} 2>{log:q}
        """
