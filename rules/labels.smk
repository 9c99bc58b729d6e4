rule labels_download:
    """Fetch the register file of a season: resumed, retried, checked."""
    output:
        ensure("<results>/labels/{register}/{season}/download/{file}", non_empty=True),
    log:
        "<logs>/labels/{register}/{season}/download/{file}.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/download/{file}.tsv"
    localrule: True
    conda:
        "../envs/geo.yaml"
    params:
        url=lambda wildcards: register_file(wildcards)["url"],
        sha256=lambda wildcards: options("--sha256", register_file(wildcards)["sha256"] or []),
    shell:
        r"""
        python -m cropflow labels download \
            --url {params.url:q} {params.sha256} \
            --work results/.work/downloads --output {output:q} 2>{log:q}
        """


rule labels:
    """Read and clean the parcels of a season."""
    input:
        source=register_source,
        beside=register_beside,
    output:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        summary="<results>/labels/{register}/{season}/summary.json",
    log:
        "<logs>/labels/{register}/{season}/parcels.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/parcels.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem="4 GiB",
        runtime="2h",
    params:
        source=source_or_address,
        settings=undated_settings,
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels clean \
            --source {params.source:q} --season {wildcards.season:q} --settings {params.settings:q} \
            --workers {threads} \
            --output {output.parcels:q} --summary {output.summary:q} 2>{log:q}
        """


rule labels_windows:
    """Place the window before harvest of every province and queried crop."""
    input:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        calendar=calendar_of,
    output:
        windows="<results>/labels/{register}/{season}/windows.parquet",
        summary="<results>/labels/{register}/{season}/windows.json",
    log:
        "<logs>/labels/{register}/{season}/windows.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/windows.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
    params:
        settings=register_settings,
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels windows \
            --parcels {input.parcels:q} --season {wildcards.season:q} \
            --settings {params.settings:q} \
            --output {output.windows:q} --summary {output.summary:q} 2>{log:q}
        """


rule labels_legend:
    """Map the codes of a register to the crops of a legend."""
    input:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        legend=own_legend,
        table=own_table,
    output:
        crops="<results>/labels/{register}/{season}/legends/{legend}.parquet",
        summary="<results>/labels/{register}/{season}/legends/{legend}.json",
    log:
        "<logs>/labels/{register}/{season}/legends/{legend}.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/legends/{legend}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
    params:
        settings=undated_settings,
        legend=lambda wildcards: legend_source(wildcards.legend),
        campaign=campaign,
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels map \
            --parcels {input.parcels:q} --settings {params.settings:q} \
            --legend {params.legend:q} --campaign {params.campaign} \
            --output {output.crops:q} --summary {output.summary:q} 2>{log:q}
        """


rule labels_overlay:
    """Lay the parcels of a season over those of an earlier one."""
    input:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        earlier="<results>/labels/{register}/{earlier}/parcels.parquet",
    output:
        pieces="<results>/labels/{register}/{season}/overlays/{earlier}.parquet",
        summary="<results>/labels/{register}/{season}/overlays/{earlier}.json",
    log:
        "<logs>/labels/{register}/{season}/overlays/{earlier}.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/overlays/{earlier}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 4  # runs of parcels are independent
    resources:
        mem="4 GiB",
        runtime="2h",
    params:
        settings=history_entry("sliver_share", "sliver_area_m2"),
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels overlay \
            --parcels {input.parcels:q} --earlier {input.earlier:q} \
            --settings {params.settings:q} --workers {threads} \
            --output {output.pieces:q} --summary {output.summary:q} 2>{log:q}
        """


rule labels_history:
    """Add up what grew on each parcel in earlier seasons, by crop of a legend."""
    input:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        overlays=lambda wildcards: overlays(wildcards, published_only=True),
        crops=earlier_files("legends/{legend}.parquet"),
        earlier=earlier_files("parcels.parquet"),
        table=own_table,
        legend=own_legend,
    output:
        history="<results>/labels/{register}/{season}/history/{legend}.parquet",
        summary="<results>/labels/{register}/{season}/history/{legend}.json",
    log:
        "<logs>/labels/{register}/{season}/history/{legend}.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/history/{legend}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="8 GiB",
        runtime="1h",
    params:
        settings=history_settings,
        legend=lambda wildcards: legend_source(wildcards.legend),
        earlier=lambda wildcards: options(
            "--earlier",
            [
                f"{lag}/{name}"
                for lag, name in earlier_seasons(wildcards, published_only=True).items()
            ],
        ),
        overlays=lambda wildcards, input: options("--overlay", input.overlays),
        crops=lambda wildcards, input: options("--crops", input.crops),
        parcels=lambda wildcards, input: options("--earlier-parcels", input.earlier),
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels history \
            --parcels {input.parcels:q} --settings {params.settings:q} \
            --legend {params.legend:q} \
            {params.earlier} {params.overlays} {params.crops} {params.parcels} \
            --output {output.history:q} --summary {output.summary:q} 2>{log:q}
        """


rule labels_stable:
    """Choose the parcels that keep their outline over the seasons."""
    input:
        parcels="<results>/labels/{register}/{season}/parcels.parquet",
        overlays=overlays,
    output:
        stable="<results>/labels/{register}/{season}/stable.parquet",
        summary="<results>/labels/{register}/{season}/stable.json",
    log:
        "<logs>/labels/{register}/{season}/stable.log",
    benchmark:
        "<benchmarks>/labels/{register}/{season}/stable.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=history_entry("stable_iou"),
        earlier=lambda wildcards: options("--earlier", earlier_seasons(wildcards).values()),
        overlays=lambda wildcards, input: options("--overlay", input.overlays),
        code=room_code("labels"),
    shell:
        r"""
        python -m cropflow labels stable \
            --parcels {input.parcels:q} --settings {params.settings:q} \
            {params.earlier} {params.overlays} \
            --output {output.stable:q} --summary {output.summary:q} 2>{log:q}
        """
